"""GPUs of the lab: cut by declaration, driven by NVIDIA's GPU operator."""
