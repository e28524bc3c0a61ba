# API is the address of the endpoint, KEY is your API key if it needs one, and PAGE is the page to print.
API=${API:-http://127.0.0.1:8080} KEY=${KEY:-} PAGE=${PAGE:-https://example.com/}
call() { curl --silent --show-error --header "x-api-key: $KEY" "$@"; echo; }

# Ask for a PDF. The answer comes at once: a job that makes the PDF, or a PDF that is there already.
call --data "{\"url\": \"$PAGE\"}" "$API/pdf"

# Follow the job; with wait, the answer comes when the job has ended. The id of a request without options is the sha1 of
# its canonical URL, which answers show. For example, https://example.com and https://example.com?q get a slash.
URL=$(printf %s "$PAGE" | sed -E 's|^([^:]+://[^/?#]+)([?#].*)?$|\1/\2|')
ID=$(printf %s "$URL" | sha1sum | cut -d ' ' -f 1)
call "$API/pdf/$ID?wait=20"

# Read the report: the verdict, the number of pages, and what is missing.
call "$API/pdf/$ID/report"

# Or wait for the PDF and download it, here on other paper. The answer redirects to S3, or back to the endpoint while the
# PDF is not ready. Do not use --location with a key: curl would send the key to S3 too.
link() { call --fail --output /dev/null --write-out '%{redirect_url}' "$@"; }
LINK=$(link --get "$API/pdf" --data-urlencode "url=$PAGE" --data format=A5 --data landscape=true)
while [ "${LINK#"$API"}" != "$LINK" ]; do LINK=$(link "$LINK"); done
curl --fail --silent --show-error --output page.pdf "$LINK"

# Ask for many at once. A wrong request is answered with a problem and its remedy, and the others are done.
call --data "{\"requests\": [{\"url\": \"$PAGE\"}, {\"url\": \"http://10.0.0.1/\"}]}" "$API/pdf/batch"
