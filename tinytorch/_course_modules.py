"""Where each course module is exported: made from `templates/curriculum.toml` by `make generate`."""

COURSE_MODULES = {
    "tinytorch.core.tensor": ("01", "Tensor"),
    "tinytorch.core.activations": ("02", "Activations"),
    "tinytorch.core.layers": ("03", "Layers"),
    "tinytorch.core.losses": ("04", "Losses"),
    "tinytorch.core.dataloader": ("05", "DataLoader"),
    "tinytorch.core.autograd": ("06", "Autograd"),
    "tinytorch.core.optimizers": ("07", "Optimizers"),
    "tinytorch.core.training": ("08", "Training"),
    "tinytorch.core.convolutions": ("09", "Convolutions"),
    "tinytorch.core.tokenization": ("10", "Tokenization"),
    "tinytorch.core.embeddings": ("11", "Embeddings"),
    "tinytorch.core.attention": ("12", "Attention"),
    "tinytorch.core.transformers": ("13", "Transformers"),
    "tinytorch.perf.profiling": ("14", "Profiling"),
    "tinytorch.perf.quantization": ("15", "Quantization"),
    "tinytorch.perf.compression": ("16", "Compression"),
    "tinytorch.perf.acceleration": ("17", "Acceleration"),
    "tinytorch.perf.memoization": ("18", "Memoization"),
    "tinytorch.perf.benchmarking": ("19", "Benchmarking"),
    "tinytorch.capstone": ("20", "Capstone"),
}
