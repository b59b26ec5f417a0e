"""The device, precision and memory with which torch computes."""

import psutil
import torch

from mrisr.common.errors import InputError

# Names in torch of a CPU's units for bfloat16: the first two are of x86, the others of ARM.
BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def pick(threads: int, wanted: str = "auto") -> torch.device:
    """Return the device to compute on; a CPU uses `threads` threads.

    Products on a GPU are float32 in full, as on a CPU, unless `arithmetic` allows less.

    Args:
        threads: Threads of the CPU.
        wanted: `cpu`, `cuda`, or `auto`: the first GPU if there is one.

    Raises:
        InputError: A GPU is wanted and torch sees none.
    """
    torch.set_num_threads(max(1, threads))
    arithmetic("ieee")
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise InputError("device cuda: torch sees no GPU; use the device cpu or auto")
    return torch.device("cuda" if found and wanted != "cpu" else "cpu")


def describe(device: torch.device) -> str:
    """Return the name of a device: that of its GPU, or a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"


def this(device: torch.device) -> str:
    """Return how a sentence begins that is about the device at hand."""
    return "this GPU" if device.type == "cuda" else "this CPU"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 in hardware; emulated, it is slower than float32.

    Args:
        device: A GPU, or the CPU.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return any(found.get(unit) for unit in BFLOAT16_UNITS)


def products(device: torch.device, precision: str) -> torch.autocast:
    """Return a context in which a network multiplies in a precision, whatever it is around it.

    Args:
        device: Of the network.
        precision: `bfloat16` for its layers' products; any other leaves them in float32.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def send(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the CPU on a device, without waiting for the GPU's work before it.

    Out of other memory than pinned, a copy waits for the GPU, which then idles until its next work
    arrives.
    """
    if device.type == "cpu":
        return host
    return host.pin_memory().to(device, non_blocking=True)


def arithmetic(products: str) -> None:
    """Set how a GPU multiplies float32 numbers from now on; a CPU is not affected.

    Args:
        products: `ieee` (float32) or `tf32` (rounded to 10 bits of mantissa, several times
            faster).
    """
    # The older names: torch refuses to read these once the newer ones have been set.
    torch.backends.cuda.matmul.allow_tf32 = products == "tf32"
    torch.backends.cudnn.allow_tf32 = products == "tf32"
    # Shapes hardly change in training or over the tiles of a volume.
    torch.backends.cudnn.benchmark = True


def memory_mb(device: torch.device, limit: float | None = None) -> float:
    """Return the memory that work on `device` may use, in MiB.

    Args:
        device: Device; for a GPU, its free memory in whole GiB counts.
        limit: Most memory on the CPU; default half of the memory that is available.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, int(0.8 * free) // 2**30) * 1024
    return limit if limit is not None else psutil.virtual_memory().available / 2**21
