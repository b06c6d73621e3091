"""HTTP as uvicorn and Starlette leave it to us."""
