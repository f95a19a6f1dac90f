"""Between bytes and frames: the only package that touches PyAV."""
