"""Exchange gradients between the workers of torch.distributed, and count the bytes."""

import os
import socket
import stat
import struct
from pathlib import Path

import torch
import torch.distributed as dist

# Where struct tcp_info of linux/tcp.h (Linux 4.19 and later) holds tcpi_notsent_bytes, a 32-bit number, and
# tcpi_bytes_sent and behind it tcpi_bytes_retrans, 64-bit numbers.
_NOT_SENT, _BYTES_SENT = 144, 200


class Exchange:
    """The collectives of one worker, and the bytes of every tensor that it hands to them.

    Attributes:
        handed: bytes so far. A tensor counts with all its entries times their width, fill and lengths included; what the
            transport adds (headers), and how often it sends a tensor on to reach all the workers, does not.
    """

    def __init__(self):
        self.handed = 0

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum of every worker's tensor, the same in all of them; the order of the additions is gloo's."""
        total = tensor.clone(memory_format=torch.contiguous_format)
        self._count(total)
        dist.all_reduce(total)
        return total

    def all_gather(
        self, indices: torch.Tensor, values: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Give one sparse message to all the workers, and get all of theirs, that of worker 0 first.

        The lengths go first (one int64 for each worker). A collective takes tensors of one shape only: so each message,
        indices and values as bytes in one tensor, is filled up with zeros to the longest one, sent, and cut again. If all are
        empty, nothing more is sent.

        Args:
            indices: [k], any integer dtype, the same dtype in all workers; k may differ.
            values: [k], any floating dtype, the same in all workers.
        """
        lengths = [length.item() for length in self._gather(torch.tensor([len(values)]))]
        longest = max(lengths)
        if longest == 0:
            return [(indices, values)] * len(lengths)
        parts = [_filled(tensor, longest).view(torch.uint8) for tensor in (indices, values)]
        messages = []
        for received, length in zip(self._gather(torch.cat(parts)), lengths, strict=True):
            i, v = received.split([len(part) for part in parts])
            messages.append((_as(i, indices.dtype)[:length], _as(v, values.dtype)[:length]))
        return messages

    def _gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        received = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        self._count(tensor)
        dist.all_gather(received, tensor)
        return received

    def _count(self, tensor: torch.Tensor) -> None:
        self.handed += tensor.numel() * tensor.element_size()


def _filled(tensor: torch.Tensor, length: int) -> torch.Tensor:
    return torch.cat([tensor, tensor.new_zeros(length - len(tensor))])


def _as(data: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Read bytes as numbers; a copy, because a number must begin where its width divides the address."""
    return data.clone().view(dtype)


def socket_bytes() -> int | None:
    """Count the bytes that this process has sent through the TCP sockets that it holds open now.

    The operating system counts them, for each socket: what the program gave it to send, also what still waits there, without
    the headers of TCP and IP and without what was sent twice. Take the difference of two calls.

    Returns:
        A whole number, or None where the system does not tell (it is Linux that does).
    """
    folder = Path("/proc/self/fd")
    if not hasattr(socket, "TCP_INFO") or not folder.is_dir():
        return None
    total = 0
    for descriptor in [int(path.name) for path in folder.iterdir()]:
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as one:
                if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
                    continue
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    continue
                info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        except OSError:  # it was closed meanwhile
            continue
        if len(info) < _BYTES_SENT + 16:
            return None
        sent, again = struct.unpack_from("=QQ", info, _BYTES_SENT)
        total += sent - again + struct.unpack_from("=I", info, _NOT_SENT)[0]
    return total
