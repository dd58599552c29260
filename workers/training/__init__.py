"""Training of networks: needs torch, numpy, OpenCV and safetensors, so that it runs on a bare machine with a GPU.

``photos`` reads pictures, ``views`` makes what a network is shown of them, a *course* (``courses``) says what one
architecture learns and how it is judged, ``trainer`` walks through it, ``kept`` writes what comes of it. Nothing here
may import ``db``, Celery, PyAV, SQLAlchemy, pydantic or kornia.
"""
