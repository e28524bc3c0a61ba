"""The switches with which Chromium starts."""

from __future__ import annotations


def chromium_args() -> list[str]:
    """Returns Chromium's switches for Lambda. Web security stays enabled."""
    return [
        "--headless",
        "--no-sandbox",  # Lambda allows no user namespaces; the function is the sandbox
        "--no-startup-window",
        "--no-first-run",
        "--disable-dev-shm-usage",  # Lambda has no /dev/shm
        # Nothing bypasses the proxy: no UDP of QUIC or WebRTC, and no name lookups by Chromium.
        "--disable-quic",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # the same switch's name in older builds
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--dns-prefetch-disable",
        # No requests that the page did not make.
        "--no-pings",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-domain-reliability",
        "--disable-client-side-phishing-detection",
        "--disable-extensions",
        "--disable-sync",
        "--metrics-recording-only",
        "--disable-field-trial-config",
        # A page is never in the background, where its timers would be slower and its frames would not be painted.
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--disable-ipc-flooding-protection",
        "--disable-hang-monitor",
        "--disable-back-forward-cache",
        "--disable-popup-blocking",  # popups are closed as they come, and the page does not notice
        "--disable-prompt-on-repost",
        "--disable-breakpad",
        # Frames of other sites share their page's process: this build does not print those in processes of their own.
        "--disable-site-isolation-trials",
        # Pages stay on the scheme that was asked for, paint at once, and see storage as in a browser with cookies.
        "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,PaintHolding,ThirdPartyStoragePartitioning,"
        "DestroyProfileOnBrowserClose,MediaRouter,OptimizationHints,IsolateOrigins,site-per-process,"
        "IsolateSandboxedIframes",
        "--password-store=basic",
        # The same look on every machine.
        "--hide-scrollbars",
        "--mute-audio",
        "--force-color-profile=srgb",
        "--font-render-hinting=none",
        "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
        # There is no GPU, and the layer has no software renderer. A Chromium in single-process mode that looks for one
        # crashes (measured). So there is no WebGL either.
        "--disable-gpu",
        "--disable-software-rasterizer",
        "--disable-webgl",
    ]
