"""Parts of HTTP that uvicorn and Starlette do not cover."""
