"""Runs the application: `python -m pytest_meshwright.application --name N --host H --port P`."""

import argparse

import uvicorn

from pytest_meshwright.application.server import build_application


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m pytest_meshwright.application")
    parser.add_argument("--name", required=True, help="what the application calls itself")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="the port to listen on")
    arguments = parser.parse_args()
    uvicorn.run(
        build_application(arguments.name),
        host=arguments.host,
        port=arguments.port,
        http="h11",
        loop="asyncio",
        lifespan="off",
        access_log=False,
        log_level="warning",
        # Envoy keeps its connections; closing one under a request would look like a failure.
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
