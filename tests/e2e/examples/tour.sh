# API is the endpoint's address, KEY an API key where it asks for one, PAGE what is to be printed.
API=${API:-http://127.0.0.1:8080} KEY=${KEY:-} PAGE=${PAGE:-https://example.com/}
call() { curl --silent --show-error --header "x-api-key: $KEY" "$@"; echo; }

# Ask for a PDF. The answer comes at once: the job that makes it, or the PDF where it is there already.
call --data "{\"url\": \"$PAGE\"}" "$API/pdf"

# The id of a plain request is the sha1 of its canonical URL, which answers show: https://example.com gets a slash at its
# end, for one. Look at the job; with wait, when it has ended.
case ${PAGE#*://} in */*) URL=$PAGE ;; *) URL=$PAGE/ ;; esac
ID=$(printf %s "$URL" | sha1sum | cut -d ' ' -f 1)
call "$API/pdf/$ID?wait=20"

# What is known about the PDF: its verdict, its pages, what was missing.
call "$API/pdf/$ID/report"

# Or wait for the link and download, here on other paper. The answer redirects to S3. Do not use --location with a key:
# curl would send the key to S3 too. --fail, so that no problem is saved as a PDF.
LINK=$(call --fail --output /dev/null --write-out '%{redirect_url}' --get "$API/pdf" \
  --data-urlencode "url=$PAGE" --data format=A5 --data landscape=true)
curl --fail --silent --show-error --output page.pdf "$LINK"

# Many at once. What is wrong is answered as a problem, with what to do about it, and keeps nothing else from being done.
call --data "{\"requests\": [{\"url\": \"$PAGE\"}, {\"url\": \"http://10.0.0.1/\"}]}" "$API/pdf/batch"
