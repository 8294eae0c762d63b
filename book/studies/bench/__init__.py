"""Side by side with the peers: what a meta-step, an inference and a round cost in time, as ratios of one run."""

from studies.bench.report import interleaved, measured_gemm_rate, peak_bytes

__all__ = ["interleaved", "measured_gemm_rate", "peak_bytes"]
