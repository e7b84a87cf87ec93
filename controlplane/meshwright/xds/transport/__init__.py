"""gRPC's server side for streams of messages: HTTP/2 without sockets, calls, and sockets for both.

    sockets  asyncio, keepalive, age --- tls ---- http2  frames, streams, flow control
       '------------- bytes -------------------------'
    calls    messages and statuses              <------- data of a stream

gRPC for Python takes seven times as long for one small message to many streams, so that ADS has a
transport of its own (docs/xds.md).
"""
