"""The page and the service of `stillwave web`: recordings over HTTP, live sound over a WebSocket."""
