"""Graphics processors as data: peak rate, memory, bandwidth, and where that is stated."""

from dataclasses import dataclass

from vertebra.spec.named import one_named


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One kind of processor.

    Attributes:
        name: As on the command line.
        bf16: Peak operations a second in bf16 with sums in float32, without sparsity.
        memory_gb: Memory in 1e9 bytes.
        bandwidth: Bytes a second from its memory.
        source: Where that is stated.
        derived: How ``bf16`` follows from what is stated; empty where it is stated itself.
    """

    name: str
    bf16: float
    memory_gb: float
    bandwidth: float
    source: str
    derived: str = ""


def _gpu(
    name: str, tera: float, memory_gb: float, gb_a_second: float, source: str, derived: str = ""
) -> Gpu:
    return Gpu(
        name=name,
        bf16=tera * 1e12,
        memory_gb=memory_gb,
        bandwidth=gb_a_second * 1e9,
        source=source,
        derived=derived,
    )


HALF = "half of the rate stated with sparsity"
FP4 = "an eighth of the rate stated for FP4 with sparsity"

GPUS: tuple[Gpu, ...] = (
    _gpu("A100-40GB", 312, 40, 1555, "NVIDIA A100 datasheet"),
    _gpu("A100", 312, 80, 2039, "NVIDIA A100 80GB datasheet (SXM)"),
    _gpu("H100", 989.4, 80, 3350, "NVIDIA H100 datasheet (SXM)", HALF),
    _gpu("H100-PCIe", 756.5, 80, 2000, "NVIDIA H100 datasheet (PCIe)", HALF),
    _gpu("H200", 989.4, 141, 4800, "NVIDIA H200 datasheet (SXM)", HALF),
    _gpu("H20", 148, 96, 4000, "NVIDIA H20 product brief"),
    _gpu("B200", 2250, 180, 7700, "NVIDIA HGX B200 datasheet, one of eight", HALF),
    _gpu("GB200", 2500, 186, 8000, "NVIDIA GB200 NVL72 datasheet, one of 72", HALF),
    _gpu("L40S", 366, 48, 864, "NVIDIA L40S datasheet", HALF),
    _gpu("RTX-4090", 165.2, 24, 1008, "NVIDIA Ada GPU architecture whitepaper, appendix"),
    _gpu("RTX-5090", 209.5, 32, 1792, "NVIDIA RTX Blackwell architecture whitepaper, appendix"),
    _gpu(
        "RTX-5090D",
        148.4,
        32,
        1792,
        "Tom's Hardware, 12 Aug 2025 (2375 AI TOPS instead of 3352)",
        "the rate of the RTX 5090 times 2375 / 3352",
    ),
    _gpu(
        "RTX-5090D-V2",
        148.4,
        24,
        1344,
        "Tom's Hardware, 12 Aug 2025 (384 bits of GDDR7 at 28 Gbit/s)",
        "the rate of the RTX 5090 times 2375 / 3352",
    ),
    _gpu("Jetson-Thor", 258.8, 128, 273, "NVIDIA Jetson T5000 datasheet (2070 TFLOPS FP4)", FP4),
    _gpu(
        "Jetson-Orin",
        42.5,
        64,
        204.8,
        "NVIDIA Jetson AGX Orin 64GB technical brief (170 sparse INT8 TOPS of the GPU)",
        "a quarter of the rate stated for INT8 with sparsity",
    ),
    _gpu("DGX-Spark", 125, 128, 273, "NVIDIA DGX Spark datasheet (1 PFLOP FP4)", FP4),
)


def gpu_by_name(name: str) -> Gpu:
    """The processor of that name, letters of any case.

    Raises:
        ValueError: Listing the known names.
    """
    known = {gpu.name.lower(): gpu.name for gpu in GPUS}
    return one_named(GPUS, known.get(name.lower(), name), f"No GPU is named '{name}'")


def counted_gpus(text: str) -> tuple[int, Gpu]:
    """``8xH100`` as a number and a processor; ``H100`` is one.

    Raises:
        ValueError: When it is neither, or the processor is not known.
    """
    count, cross, name = text.partition("x")
    if cross and count.isdigit():
        if int(count) < 1:
            raise ValueError(f"'{text}' names {count} GPUs, at least one is needed.")
        return int(count), gpu_by_name(name)
    return 1, gpu_by_name(text)
