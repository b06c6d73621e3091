"""The FastAPI service over a store."""
