"""Side by side with the peers: what a meta-step, an inference and a round cost in time, as ratios of one run."""

from studies.bench.report import (
    Goal,
    Progress,
    Report,
    Row,
    interleaved,
    measured_convolution_rate,
    measured_gemm_rate,
    peak_bytes,
    using,
)

__all__ = [
    "Goal",
    "Progress",
    "Report",
    "Row",
    "interleaved",
    "measured_convolution_rate",
    "measured_gemm_rate",
    "peak_bytes",
    "using",
]
