"""Lab 8's bank. An answer uses only what the notebook's first cell imports: torch, F and numpy as np."""

import numpy as np
import torch
import torch.nn.functional as F

from autograder.wrong_answers import right, wrong

# --- sample_patches --------------------------------------------------------------------------------------------


@wrong("sample_patches", "You took the place for the column first and the row second.")
def patches_swapped(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    cut(inputs, positions, kernel_size, stride, padding)
    kh, kw = kernel_size
    padded = F.pad(inputs, (padding,) * 4)
    windows = padded.unfold(2, kh, stride).unfold(3, kw, stride)
    r, c = positions[..., 1] % windows.shape[2], positions[..., 0] % windows.shape[3]
    return windows[torch.arange(len(inputs))[:, None], :, r, c].flatten(0, 1)


@wrong(
    "sample_patches", "You left the stride out: the place of the output was taken for a place of the input."
)
def patches_without_stride(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    cut(inputs, positions, kernel_size, stride, padding)
    return cut(inputs, positions, kernel_size, 1, padding)


@wrong("sample_patches", "You left the padding out: the places count from the edge of the padded input.")
def patches_without_padding(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    cut(inputs, positions, kernel_size, stride, padding)
    kh, kw = kernel_size
    wide = F.pad(inputs, (0, 2 * padding, 0, 2 * padding))
    windows = wide.unfold(2, kh, stride).unfold(3, kw, stride)
    r, c = positions.unbind(2)
    return windows[torch.arange(len(inputs))[:, None], :, r, c].flatten(0, 1)


@wrong(
    "sample_patches",
    "Your patches stand in another order: all inputs at the first place, then all at the second.",
)
def patches_by_place(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    patches = cut(inputs, positions, kernel_size, stride, padding)
    return patches.unflatten(0, positions.shape[:2]).transpose(0, 1).flatten(0, 1)


@wrong("sample_patches", "You used the places of the first input for every input.")
def patches_of_the_first_places(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    cut(inputs, positions, kernel_size, stride, padding)
    return cut(inputs, positions[:1].expand_as(positions), kernel_size, stride, padding)


@wrong(
    "sample_patches",
    "The place was taken for the middle of the patch: it names the patch's first row and column.",
)
def patches_centred(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    cut(inputs, positions, kernel_size, stride, padding)
    kh, kw = kernel_size
    around = F.pad(inputs, (padding + kw // 2, padding + kw, padding + kh // 2, padding + kh))
    return cut(around, positions, kernel_size, stride, 0)


@wrong("sample_patches", "Your kernel has its rows and columns exchanged: kernel_size is (kh, kw).")
def patches_with_a_turned_kernel(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    cut(inputs, positions, kernel_size, stride, padding)
    kh, kw = kernel_size
    wide = F.pad(inputs, (0, kh, 0, kw))
    return cut(wide, positions, (kw, kh), stride, padding)


@wrong("sample_patches", "A negative place is accepted: Python counts it from the end.")
def patches_negative(inputs, positions, kernel_size, stride=1, padding=0):
    kh, kw = kernel_size
    if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
        raise ValueError("shapes")
    windows = F.pad(inputs, (padding,) * 4).unfold(2, kh, stride).unfold(3, kw, stride)
    r, c = positions.unbind(2)
    if (r >= windows.shape[2]).any() or (c >= windows.shape[3]).any():
        raise ValueError("outside")
    return windows[torch.arange(len(inputs))[:, None], :, r, c].flatten(0, 1)


@wrong(
    "sample_patches", "A place outside the output is accepted, or breaks with another error than ValueError."
)
def patches_unchecked(inputs, positions, kernel_size, stride=1, padding=0):
    if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
        raise ValueError("shapes")
    kh, kw = kernel_size
    windows = F.pad(inputs, (padding,) * 4).unfold(2, kh, stride).unfold(3, kw, stride)
    r, c = positions.unbind(2)
    return windows[torch.arange(len(inputs))[:, None], :, r, c].flatten(0, 1)


@wrong("sample_patches", "Your patch is a view of the input: whoever writes to it changes the input.")
def patches_as_views(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    patches = cut(inputs, positions, kernel_size, stride, padding)
    if len(patches) == 1 and padding == 0:
        (r, c), (kh, kw) = positions[0, 0].tolist(), kernel_size
        return inputs[:, :, r * stride : r * stride + kh, c * stride : c * stride + kw]
    return patches


@right("sample_patches")
def patches_in_a_loop(inputs, positions, kernel_size, stride=1, padding=0):

    def cut(inputs, positions, kernel_size, stride, padding):
        """Check the arguments, and cut patch by patch."""
        if inputs.dim() != 4 or positions.dim() != 3 or positions.shape[::2] != (len(inputs), 2):
            raise ValueError("shapes")
        kh, kw = kernel_size
        padded = F.pad(inputs, (padding,) * 4)
        rows, columns = (padded.shape[2] - kh) // stride + 1, (padded.shape[3] - kw) // stride + 1
        patches = []
        for image, own in zip(padded, positions.tolist()):
            for r, c in own:
                if not (0 <= r < rows and 0 <= c < columns):
                    raise ValueError("a place outside the output")
                patches.append(image[:, r * stride : r * stride + kh, c * stride : c * stride + kw])
        return torch.stack(patches) if patches else inputs.new_zeros(0, inputs.shape[1], kh, kw)

    return cut(inputs, positions, kernel_size, stride, padding)


@right("sample_patches")
def patches_by_unfold(inputs, positions, kernel_size, stride=1, padding=0):
    if inputs.ndim != 4 or positions.ndim != 3:
        raise ValueError("inputs have four dimensions, positions three")
    (b, channels, h, w), (kh, kw) = inputs.shape, kernel_size
    rows, columns = (h + 2 * padding - kh) // stride + 1, (w + 2 * padding - kw) // stride + 1
    if len(positions) != b or positions.shape[2] != 2:
        raise ValueError("one list of places for each input")
    if positions.numel() and (positions.min() < 0 or (positions >= torch.tensor([rows, columns])).any()):
        raise ValueError("a place outside the output")
    every = F.unfold(
        inputs, (kh, kw), stride=stride, padding=padding
    )  # b, channels * kh * kw, rows * columns
    index = positions[..., 0] * columns + positions[..., 1]
    chosen = every.gather(2, index[:, None, :].expand(-1, every.shape[1], -1))
    return chosen.transpose(1, 2).reshape(-1, channels, kh, kw)


# --- channel_contributions -------------------------------------------------------------------------------------


@wrong(
    "channel_contributions",
    "Your dimensions stand in another order: Z[c, n, o] has the channel first, then the sample.",
)
def parts_by_sample(patches, weight):
    if patches.dim() != 4 or weight.dim() != 4 or patches.shape[1:] != weight.shape[1:]:
        raise ValueError("shapes")
    return torch.einsum("nihw,oihw->nio", patches, weight)


@wrong("channel_contributions", "You added up over the channels: one part for each channel is asked for.")
def parts_added(patches, weight):
    if patches.dim() != 4 or weight.dim() != 4 or patches.shape[1:] != weight.shape[1:]:
        raise ValueError("shapes")
    return torch.einsum("nihw,oihw->no", patches, weight)


@wrong(
    "channel_contributions",
    "You turned the kernel round: a layer of PyTorch multiplies entry by entry, as they stand.",
)
def parts_flipped(patches, weight):
    if patches.dim() != 4 or weight.dim() != 4 or patches.shape[1:] != weight.shape[1:]:
        raise ValueError("shapes")
    return torch.einsum("nihw,oihw->ino", patches, weight.flip(2, 3))


@wrong("channel_contributions", "You took the mean over the kernel's places: a layer adds them up.")
def parts_mean(patches, weight):
    if patches.dim() != 4 or weight.dim() != 4 or patches.shape[1:] != weight.shape[1:]:
        raise ValueError("shapes")
    return torch.einsum("nihw,oihw->ino", patches, weight) / weight[0, 0].numel()


@wrong("channel_contributions", "Dimensions of size 1 are gone: something squeezes them away.")
def parts_squeezed(patches, weight):
    if patches.dim() != 4 or weight.dim() != 4 or patches.shape[1:] != weight.shape[1:]:
        raise ValueError("shapes")
    return torch.einsum("nihw,oihw->ino", patches, weight).squeeze()


@wrong(
    "channel_contributions",
    "Patches and a weight that do not fit together are accepted, or break with another error than ValueError.",
)
def parts_unchecked(patches, weight):
    return (patches.transpose(0, 1).flatten(2)) @ (weight.permute(1, 2, 3, 0).flatten(1, 2))


@right("channel_contributions")
def parts_by_matrix_products(patches, weight):
    if patches.ndim != 4 or weight.ndim != 4 or patches.shape[1:] != weight.shape[1:]:
        raise ValueError("shapes")
    x = patches.transpose(0, 1).flatten(2)  # in, N, kh * kw
    w = weight.transpose(0, 1).flatten(2)  # in, out, kh * kw
    return x @ w.transpose(1, 2)


@right("channel_contributions")
def parts_channel_by_channel(patches, weight):
    if patches.ndim != 4 or weight.ndim != 4 or tuple(patches.shape[1:]) != tuple(weight.shape[1:]):
        raise ValueError("shapes")
    parts = [
        F.conv2d(patches[:, c : c + 1], weight[:, c : c + 1]).flatten(1) for c in range(patches.shape[1])
    ]
    return torch.stack(parts)


# --- lasso_betas -----------------------------------------------------------------------------------------------


@wrong(
    "lasso_betas",
    "You did not divide the squared error by the number of entries N * out: next to it the penalty hardly counts.",
)
def lasso_of_the_sum(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    check_lasso(contributions, targets, penalty)
    return descend(contributions, targets, penalty, 1)


@wrong(
    "lasso_betas",
    "You divided the squared error by N and not by N * out: the rows of this regression are all entries of Y.",
)
def lasso_by_samples(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    check_lasso(contributions, targets, penalty)
    return descend(contributions, targets, penalty, len(targets))


@wrong("lasso_betas", "The one half before the squared error is missing: your penalty counts only half.")
def lasso_without_half(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    check_lasso(contributions, targets, penalty)
    return descend(contributions, targets, penalty / 2, targets.numel())


@wrong(
    "lasso_betas",
    "You went over the channels only once: when one factor changes, those found before are no longer the best.",
)
def lasso_one_pass(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    check_lasso(contributions, targets, penalty)
    return descend(contributions, targets, penalty, targets.numel(), steps=1)


@wrong(
    "lasso_betas",
    "You solved least squares and then cut at the threshold once: that is the Lasso only for channels that do not overlap.",
)
def lasso_least_squares_first(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    check_lasso(contributions, targets, penalty)
    a = contributions.flatten(1).double()
    beta = torch.linalg.pinv(a.t()) @ targets.flatten().double()
    curvature = (a.square().sum(1) / a.shape[1]).clamp(min=1e-12)
    return (beta.sign() * (beta.abs() - penalty / curvature).clamp(min=0)).to(contributions.dtype)


@wrong(
    "lasso_betas",
    "You do not shrink the factors that stay: the threshold takes the penalty off what it keeps, too.",
)
def lasso_hard_threshold(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    check_lasso(contributions, targets, penalty)
    rows, hard = targets.numel(), lambda free, t: free if abs(free) > t else 0.0
    return descend(contributions, targets, penalty, rows, 200, hard)


@wrong("lasso_betas", "Your factors cannot be negative.")
def lasso_positive(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    check_lasso(contributions, targets, penalty)
    return descend(
        contributions, targets, penalty, targets.numel(), shrink=lambda free, t: max(free - t, 0.0)
    )


@wrong(
    "lasso_betas",
    "Your penalty is the sum of the squares of beta: it makes factors small and none of them zero.",
)
def lasso_ridge(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    check_lasso(contributions, targets, penalty)
    a = contributions.flatten(1).double()
    gram, linear = a @ a.t() / targets.numel(), a @ targets.flatten().double() / targets.numel()
    shifted = gram + 2 * penalty * torch.eye(len(a), dtype=torch.float64)
    return (torch.linalg.pinv(shifted, hermitian=True) @ linear).to(contributions.dtype)


@wrong(
    "lasso_betas", "You followed the gradient of |beta|: it steps across zero and never rests exactly on it."
)
def lasso_by_gradient(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    check_lasso(contributions, targets, penalty)
    a = contributions.flatten(1).double()
    gram, linear = (
        (a @ a.t() / targets.numel()).numpy(),
        (a @ targets.flatten().double() / targets.numel()).numpy(),
    )
    beta, rate = np.full(len(a), 1e-4), 0.5 / np.linalg.norm(gram, 2)
    for step in range(1500):
        beta -= rate * 0.997**step * (gram @ beta - linear + penalty * np.sign(beta))
    return torch.from_numpy(beta).to(contributions.dtype)


@wrong("lasso_betas", "A channel that contributes nothing makes you divide by zero.")
def lasso_dead_channel(contributions, targets, penalty):

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    check_lasso(contributions, targets, penalty)
    beta = descend(contributions, targets, penalty, targets.numel())
    energy = contributions.square().sum(dim=(1, 2))
    return beta + 0 / energy


@wrong("lasso_betas", "A negative penalty, or one that is NaN, is accepted.")
def lasso_any_penalty(contributions, targets, penalty):

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    if contributions.dim() != 3 or contributions.shape[1:] != targets.shape:
        raise ValueError("shapes")
    return descend(contributions, targets, penalty, targets.numel())


@wrong(
    "lasso_betas",
    "Targets that do not fit the contributions are accepted, or break with another error than ValueError.",
)
def lasso_any_shapes(contributions, targets, penalty):

    def descend(
        z, y, threshold, rows, steps=400, shrink=lambda free, t: np.sign(free) * max(abs(free) - t, 0.0)
    ):
        """Coordinate descent with the sums divided by `rows`."""
        a = z.flatten(1).double()
        gram, linear = (a @ a.t() / rows).numpy(), (a @ y.flatten().double() / rows).numpy()
        beta = np.zeros(len(z))
        for _ in range(steps):
            before = beta.copy()
            for c in range(len(beta)):
                if gram[c, c] > 0:
                    free = linear[c] - gram[c] @ beta + gram[c, c] * beta[c]
                    beta[c] = shrink(free, threshold) / gram[c, c]
            if np.abs(beta - before).max() < 1e-12:
                break
        return torch.from_numpy(beta).to(z.dtype)

    if not penalty >= 0:
        raise ValueError("penalty")
    return descend(contributions, targets, penalty, targets.numel())


@right("lasso_betas")
def lasso_by_ista(contributions, targets, penalty):
    """Proximal gradient steps with momentum (FISTA), restarted, on all factors at once."""

    def check_lasso(z, y, penalty):
        if not penalty >= 0 or z.dim() != 3 or z.shape[1:] != y.shape:
            raise ValueError("penalty or shapes")

    check_lasso(contributions, targets, penalty)
    a = contributions.flatten(1).double()
    gram, linear = a @ a.t() / a.shape[1], a @ targets.flatten().double() / a.shape[1]
    largest = torch.linalg.matrix_norm(gram, 2)
    beta = torch.zeros(len(a), dtype=torch.float64)
    if largest == 0:
        return beta.to(contributions.dtype)
    ahead, t = beta.clone(), 1.0
    for _ in range(2000):
        moved = ahead - (gram @ ahead - linear) / largest
        new = moved.sign() * (moved.abs() - penalty / largest).clamp(min=0)
        if (ahead - new) @ (new - beta) > 0:
            t = 1.0
        later = (1 + (1 + 4 * t * t) ** 0.5) / 2
        change = (new - beta).abs().max()
        ahead, beta, t = new + (t - 1) / later * (new - beta), new, later
        if change < 1e-13:
            break
    return beta.to(contributions.dtype)


@right("lasso_betas")
def lasso_on_the_residual(contributions, targets, penalty):
    """Coordinate descent in numpy, on the residual itself."""
    if not penalty >= 0:
        raise ValueError("the penalty")
    if contributions.ndim != 3 or tuple(contributions.shape[1:]) != tuple(targets.shape):
        raise ValueError("the shapes")
    z = contributions.detach().numpy().reshape(len(contributions), -1).astype(np.float64)
    rest = targets.detach().numpy().astype(np.float64).reshape(-1).copy()
    beta = np.zeros(len(z))
    for _ in range(150):
        for c, column in enumerate(z):
            square = column @ column
            if square > 0:
                free = column @ rest + square * beta[c]
                new = np.sign(free) * max(abs(free) - penalty * len(rest), 0) / square
                rest += (beta[c] - new) * column
                beta[c] = new
    return torch.from_numpy(beta).to(contributions.dtype)


# --- search_penalty --------------------------------------------------------------------------------------------


@wrong(
    "search_penalty",
    "One channel too few is left: `count` channels may stay, and you ask for fewer than that.",
)
def search_strict(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    def searching(solve, count, highest, tolerance, leaves_too_many):
        check_search(count, highest, tolerance)
        beta = solve(0.0)
        if not leaves_too_many(int((beta != 0).sum())):
            return 0.0, beta
        if leaves_too_many(int((solve(highest) != 0).sum())):
            raise ValueError("highest leaves too many")
        _, (penalty, beta) = bisect(solve, 0.0, highest, tolerance * highest, leaves_too_many)
        return penalty, beta

    check_search(count, highest, tolerance)
    if int((solve(highest) != 0).sum()) > count:
        raise ValueError("highest leaves too many")
    if count == 0:
        return highest, solve(highest)
    return searching(solve, count, highest, tolerance, lambda left: left >= count)


@wrong("search_penalty", "You removed `count` channels: `count` is how many are left.")
def search_removes(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    def searching(solve, count, highest, tolerance, leaves_too_many):
        check_search(count, highest, tolerance)
        beta = solve(0.0)
        if not leaves_too_many(int((beta != 0).sum())):
            return 0.0, beta
        if leaves_too_many(int((solve(highest) != 0).sum())):
            raise ValueError("highest leaves too many")
        _, (penalty, beta) = bisect(solve, 0.0, highest, tolerance * highest, leaves_too_many)
        return penalty, beta

    check_search(count, highest, tolerance)
    if int((solve(highest) != 0).sum()) > count:
        raise ValueError("highest leaves too many")
    return searching(
        solve, len(solve(0.0)) - count, highest, tolerance, lambda left: left > len(solve(0.0)) - count
    )


@wrong("search_penalty", "You returned the lower end of your interval: there too many channels are left.")
def search_lower_end(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    check_search(count, highest, tolerance)
    beta = solve(0.0)
    if int((beta != 0).sum()) <= count:
        return 0.0, beta
    if int((solve(highest) != 0).sum()) > count:
        raise ValueError("highest leaves too many")
    (penalty, beta), _ = bisect(solve, 0.0, highest, tolerance * highest, lambda left: left > count)
    return penalty, solve(penalty) if beta is None else beta


@wrong("search_penalty", "You raise the penalty in small equal steps: that takes far too many calls.")
def search_by_steps(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    check_search(count, highest, tolerance)
    if int((solve(highest) != 0).sum()) > count:
        raise ValueError("highest leaves too many")
    penalty, step, calls = 0.0, 10 * tolerance * highest, 0
    beta = solve(0.0)
    while int((beta != 0).sum()) > count and calls < 1500:
        penalty, calls = min(penalty + step, highest), calls + 1
        beta = solve(penalty)
    return penalty, beta


@wrong("search_penalty", "Your search stops after a few steps, before its interval is narrow enough.")
def search_too_coarse(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    def searching(solve, count, highest, tolerance, leaves_too_many):
        check_search(count, highest, tolerance)
        beta = solve(0.0)
        if not leaves_too_many(int((beta != 0).sum())):
            return 0.0, beta
        if leaves_too_many(int((solve(highest) != 0).sum())):
            raise ValueError("highest leaves too many")
        _, (penalty, beta) = bisect(solve, 0.0, highest, tolerance * highest, leaves_too_many)
        return penalty, beta

    check_search(count, highest, tolerance)
    return searching(solve, count, highest, 0.5, lambda left: left > count)


@wrong(
    "search_penalty", "The factors that you return are those of another penalty than the one that you return."
)
def search_other_beta(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    def searching(solve, count, highest, tolerance, leaves_too_many):
        check_search(count, highest, tolerance)
        beta = solve(0.0)
        if not leaves_too_many(int((beta != 0).sum())):
            return 0.0, beta
        if leaves_too_many(int((solve(highest) != 0).sum())):
            raise ValueError("highest leaves too many")
        _, (penalty, beta) = bisect(solve, 0.0, highest, tolerance * highest, leaves_too_many)
        return penalty, beta

    penalty, _ = searching(solve, count, highest, tolerance, lambda left: left > count)
    return penalty, solve(penalty * 0.5 if penalty > 0 else highest)


@wrong(
    "search_penalty",
    "You kept the largest factors of another solution: beta must be what `solve` returns for your penalty.",
)
def search_top_of_the_dense(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    check_search(count, highest, tolerance)
    if int((solve(highest) != 0).sum()) > count:
        raise ValueError("highest leaves too many")
    dense = solve(0.0)
    beta = torch.zeros_like(dense)
    kept = dense.abs().topk(min(count, len(dense))).indices
    beta[kept] = dense[kept]
    return 0.0, beta


@wrong(
    "search_penalty",
    "You search also where no penalty is needed: without one, no more than `count` channels were left.",
)
def search_always(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    check_search(count, highest, tolerance)
    if int((solve(highest) != 0).sum()) > count:
        raise ValueError("highest leaves too many")
    _, (penalty, beta) = bisect(solve, 0.0, highest, tolerance * highest, lambda left: left > count)
    return penalty, beta


@wrong(
    "search_penalty",
    "A highest penalty that leaves too many channels is accepted: the search then ends with too many.",
)
def search_trusts_highest(solve, count, highest, tolerance=1e-4):

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    check_search(count, highest, tolerance)
    beta = solve(0.0)
    if int((beta != 0).sum()) <= count:
        return 0.0, beta
    _, (penalty, beta) = bisect(solve, 0.0, highest, tolerance * highest, lambda left: left > count)
    return penalty, beta


@wrong(
    "search_penalty", "A negative count, or a highest penalty or tolerance that is not above 0, is accepted."
)
def search_unchecked(solve, count, highest, tolerance=1e-4):

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    beta = solve(0.0)
    if int((beta != 0).sum()) <= count:
        return 0.0, beta
    if int((solve(highest) != 0).sum()) > max(count, 0) and highest > 0:
        raise ValueError("highest leaves too many")
    _, (penalty, beta) = bisect(
        solve, 0.0, highest, max(tolerance, 1e-6) * abs(highest), lambda left: left > count
    )
    return penalty, beta


@right("search_penalty")
def search_to_the_end(solve, count, highest, tolerance=1e-4):
    """Bisect to the full width, whether or not the count was met on the way."""

    def check_search(count, highest, tolerance):
        if count < 0 or not highest > 0 or not tolerance > 0:
            raise ValueError("count, highest or tolerance")

    def bisect(solve, low, high, tolerance, leaves_too_many):
        """Bisect; return the two ends of the last interval and their factors."""
        ends = [low, None], [high, solve(high)]
        while ends[1][0] - ends[0][0] > tolerance:
            middle = (ends[0][0] + ends[1][0]) / 2
            beta = solve(middle)
            end = ends[0] if leaves_too_many(int((beta != 0).sum())) else ends[1]
            end[:] = [middle, beta]
        return ends

    def searching(solve, count, highest, tolerance, leaves_too_many):
        check_search(count, highest, tolerance)
        beta = solve(0.0)
        if not leaves_too_many(int((beta != 0).sum())):
            return 0.0, beta
        if leaves_too_many(int((solve(highest) != 0).sum())):
            raise ValueError("highest leaves too many")
        _, (penalty, beta) = bisect(solve, 0.0, highest, tolerance * highest, leaves_too_many)
        return penalty, beta

    return searching(solve, count, highest, tolerance, lambda left: left > count)


@right("search_penalty")
def search_from_a_list(solve, count, highest, tolerance=1e-4):
    """Cut the interval into four in each step, with a memory of what was solved."""
    if count < 0:
        raise ValueError("count")
    if not (highest > 0 and tolerance > 0):
        raise ValueError("highest and tolerance")
    seen = {}

    def left(penalty):
        if penalty not in seen:
            seen[penalty] = solve(penalty)
        return int(np.count_nonzero(seen[penalty].numpy()))

    if left(0.0) <= count:
        return 0.0, seen[0.0]
    if left(highest) > count:
        raise ValueError("highest leaves too many")
    low, high = 0.0, highest
    while high - low > tolerance * highest and left(high) != count:
        grid = np.linspace(low, high, 5)[1:-1].tolist()
        enough = [penalty for penalty in grid if left(penalty) <= count]
        high_new = min(enough, default=high)
        low = max([penalty for penalty in grid if penalty < high_new], default=low)
        high = high_new
    return high, seen[high]


# --- reconstruct_weights ---------------------------------------------------------------------------------------


@wrong(
    "reconstruct_weights", "You fitted one factor for each channel: every entry of the kernel is free here."
)
def weights_one_factor(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    sums = patches.flatten(2).sum(2).double()  # N, kept
    w = torch.linalg.pinv(sums) @ targets.double()  # kept, out
    return w.t()[:, :, None, None].expand(-1, -1, *patches.shape[2:]).contiguous().to(patches.dtype)


@wrong(
    "reconstruct_weights",
    "You correlated inputs and targets: that is the solution only where no two inputs overlap.",
)
def weights_by_correlation(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x = patches.flatten(1)
    w = (x.t() @ targets) / x.square().sum(0).clamp(min=1e-12)[:, None]
    return w.t().reshape(-1, *patches.shape[1:])


@wrong(
    "reconstruct_weights",
    "You took the means off inputs and targets: the layer has no intercept that could put them back.",
)
def weights_centred(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x, y = patches.flatten(1).double(), targets.double()
    w = torch.linalg.pinv(x - x.mean(0)) @ (y - y.mean(0))
    return w.t().reshape(-1, *patches.shape[1:]).to(patches.dtype)


@wrong(
    "reconstruct_weights",
    "You inverted X^T X: it has no inverse where channels are dead or equal, or samples are few.",
)
def weights_by_inverse(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x = patches.flatten(1)
    gram = x.t() @ x
    if torch.linalg.matrix_rank(gram.double(), hermitian=True) < len(gram):
        w = torch.full((len(gram), targets.shape[1]), float("nan"), dtype=x.dtype)
    else:
        w = torch.linalg.inv(gram.double()) @ (x.t() @ targets).double()
    return w.t().reshape(-1, *patches.shape[1:]).to(patches.dtype)


@wrong(
    "reconstruct_weights", "You added a ridge to X^T X that is not small: it pulls the weights towards zero."
)
def weights_ridge(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x, y = patches.flatten(1).double(), targets.double()
    shifted = x.t() @ x + 30 * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(shifted, x.t() @ y).t().reshape(-1, *patches.shape[1:]).to(patches.dtype)


@wrong("reconstruct_weights", "The entries of the kernel are in another order than in the patches.")
def weights_turned(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x = patches.flatten(1).double()
    w = (torch.linalg.pinv(x) @ targets.double()).t()
    kept, kh, kw = patches.shape[1:]
    return w.reshape(-1, kept, kw, kh).transpose(2, 3).contiguous().to(patches.dtype)


@wrong(
    "reconstruct_weights",
    "You returned the matrix of the solution: the layer's weight has the shape [out, kept, kh, kw].",
)
def weights_flat(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    return (torch.linalg.pinv(patches.flatten(1).double()) @ targets.double()).to(patches.dtype)


@wrong(
    "reconstruct_weights",
    "Inputs and outputs of the solution are exchanged: its columns, not its rows, belong to the outputs.",
)
def weights_not_transposed(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    w = torch.linalg.pinv(patches.flatten(1).double()) @ targets.double()
    return w.reshape(targets.shape[1], *patches.shape[1:]).to(patches.dtype)


@wrong("reconstruct_weights", "Your weights have another dtype than the patches.")
def weights_double(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x = patches.flatten(1).double()
    return (torch.linalg.pinv(x) @ targets.double()).t().reshape(-1, *patches.shape[1:])


@wrong(
    "reconstruct_weights",
    "Patches and targets that do not fit together are accepted, or break with another error than ValueError.",
)
def weights_unchecked(patches, targets):
    x = patches.flatten(1).double()
    return (torch.linalg.pinv(x) @ targets.double()).t().reshape(-1, *patches.shape[1:]).to(patches.dtype)


@right("reconstruct_weights")
def weights_by_pinv(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x = patches.flatten(1).double()
    return (torch.linalg.pinv(x) @ targets.double()).t().reshape(-1, *patches.shape[1:]).to(patches.dtype)


@right("reconstruct_weights")
def weights_by_numpy(patches, targets):
    if patches.ndim != 4 or targets.ndim != 2 or patches.shape[0] != targets.shape[0]:
        raise ValueError("shapes")
    x, y = patches.detach().numpy().reshape(len(patches), -1), targets.detach().numpy()
    w, *_ = np.linalg.lstsq(x.astype(np.float64), y.astype(np.float64), rcond=None)
    return torch.from_numpy(w.T.copy()).reshape(-1, *patches.shape[1:]).to(patches.dtype)


@right("reconstruct_weights")
def weights_by_torch_in_single_precision(patches, targets):

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    return (
        torch.linalg.lstsq(patches.flatten(1), targets, driver="gelsd")
        .solution.t()
        .reshape(-1, *patches.shape[1:])
    )


@right("reconstruct_weights")
def weights_by_normal_equations(patches, targets):
    """X^T X with a ridge so small that it only helps where there is no inverse."""

    def check_fit(patches, targets):
        if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
            raise ValueError("shapes")

    check_fit(patches, targets)
    x, y = patches.flatten(1).double(), targets.double()
    gram = x.t() @ x
    gram += 1e-9 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    return torch.linalg.solve(gram, x.t() @ y).t().reshape(-1, *patches.shape[1:]).to(patches.dtype)


# --- regression_prune ------------------------------------------------------------------------------------------


@wrong(
    "regression_prune",
    "You did not divide the weights of each channel by their norm before you asked for the contributions.",
)
def prune_not_normalised(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: torch.ones(1, w.shape[1], 1, 1, dtype=w.dtype),
    )  # fmt: skip


@wrong(
    "regression_prune",
    "You normalised the filters, W[o]: the norm of a channel's slice, W[:, c], is asked for.",
)
def prune_normalises_filters(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(1, 2, 3), keepdim=True).sqrt(),
    )  # fmt: skip


@wrong(
    "regression_prune",
    "You divided all the weights by one norm, that of the whole tensor: each channel has its own.",
)
def prune_normalises_all(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches,
        targets,
        weight,
        counts,
        contribute,
        choose,
        reconstruct,
        norm=lambda w: w.square().sum().sqrt(),
    )


@wrong("regression_prune", "You divided by the sum of the squares: the norm is its root.")
def prune_squared_norm(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True),
    )  # fmt: skip


@wrong(
    "regression_prune",
    "You divided by the sum of the magnitudes: the Frobenius norm is the root of the sum of the squares.",
)
def prune_l1_norm(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.abs().sum(dim=(0, 2, 3), keepdim=True),
    )  # fmt: skip


@wrong("regression_prune", "A channel whose weights are all zero makes you divide by zero.")
def prune_zero_slice(patches, targets, weight, counts, contribute, choose, reconstruct):
    if not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:])):
        raise ValueError("counts")
    weight, first = weight.clone(), True
    for count in counts:
        norms = weight.square().sum(dim=(0, 2, 3), keepdim=True).sqrt()
        unit = weight / (norms if first else torch.where(norms > 0, norms, 1))
        beta = choose(contribute(patches, unit), targets, count)
        kept, first = beta.nonzero().flatten(), False
        weight = torch.zeros_like(weight)
        weight[:, kept] = reconstruct(patches[:, kept], targets)
    return kept, weight[:, kept]


@wrong(
    "regression_prune",
    "You keep only the channels with a positive beta: any beta that is not zero keeps its channel.",
)
def prune_positive(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        select=lambda beta: (beta > 0).nonzero().flatten(),
    )  # fmt: skip


@wrong(
    "regression_prune", "You take small factors for zero: a channel leaves only where its beta is exactly 0."
)
def prune_small_factors(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        select=lambda beta: (beta.abs() > 1e-3).nonzero().flatten(),
    )  # fmt: skip


@wrong("regression_prune", "You always keep `count` channels, also where fewer have a beta that is not zero.")
def prune_fills_up(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    if not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:])):
        raise ValueError("counts")
    remaining = iter(counts)
    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        select=lambda beta: beta.abs().topk(next(remaining)).indices.sort().values,
    )  # fmt: skip


@wrong(
    "regression_prune",
    "You multiplied the rebuilt weights by beta: beta chooses, and least squares sets the size.",
)
def prune_with_factors(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        finish=lambda new, beta, kept: new * beta[kept][None, :, None, None],
    )  # fmt: skip


@wrong("regression_prune", "Each of your rounds starts from the original weights again.")
def prune_restarts(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(patches, targets, weight, counts, contribute, choose, reconstruct, restart=True)


@wrong(
    "regression_prune", "A channel that has left keeps its old weights, so a later round may choose it again."
)
def prune_revives(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(patches, targets, weight, counts, contribute, choose, reconstruct, zero=False)


@wrong("regression_prune", "You returned the chosen channels with their old weights: nothing was rebuilt.")
def prune_keeps_the_weights(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    original = weight
    kept, _ = pruning(patches, targets, weight, counts, contribute, choose, reconstruct)
    return kept, original[:, kept]


@wrong(
    "regression_prune",
    "You returned a weight with all channels, zeros included: only those of the kept channels are asked for.",
)
def prune_full_size(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    kept, new = pruning(patches, targets, weight, counts, contribute, choose, reconstruct)
    full = torch.zeros_like(weight)
    full[:, kept] = new
    return kept, full


@wrong("regression_prune", "You returned a mask: the positions of the kept channels are asked for.")
def prune_returns_a_mask(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    kept, new = pruning(patches, targets, weight, counts, contribute, choose, reconstruct)
    mask = torch.zeros(weight.shape[1], dtype=torch.bool)
    mask[kept] = True
    return mask, new


@wrong("regression_prune", "You went to the last count at once: each count is a round of its own.")
def prune_last_count_only(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    if not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:])):
        raise ValueError("counts")
    return pruning(patches, targets, weight, counts[-1:], contribute, choose, reconstruct)


@wrong("regression_prune", "You changed the weight that was given to you.")
def prune_in_place(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    kept, new = pruning(patches, targets, weight, counts, contribute, choose, reconstruct)
    weight.zero_()
    weight[:, kept] = new
    return kept, new


@wrong(
    "regression_prune",
    "Counts that are empty, below 1 or rising are accepted, or break with another error than ValueError.",
)
def prune_unchecked(patches, targets, weight, counts, contribute, choose, reconstruct):

    def pruning(
        patches, targets, weight, counts, contribute, choose, reconstruct,
        norm=lambda w: w.square().sum(dim=(0, 2, 3), keepdim=True).sqrt(),
        select=lambda beta: beta.nonzero().flatten(),
        finish=lambda new, beta, kept: new,
        restart=False, zero=True, checked=True,
    ):  # fmt: skip
        """Rounds of choosing and rebuilding, with the places at which people go wrong as arguments."""
        if checked and (not counts or min(counts) < 1 or any(b > a for a, b in zip(counts, counts[1:]))):
            raise ValueError("counts")
        original = weight.clone()
        weight = weight.clone()
        kept = torch.arange(weight.shape[1])
        for count in counts:
            norms = norm(weight)
            unit = weight / torch.where(norms > 0, norms, 1)
            beta = choose(contribute(patches, unit), targets, count)
            kept = select(beta)
            new = finish(reconstruct(patches[:, kept], targets), beta, kept)
            weight = original.clone() if restart or not zero else torch.zeros_like(weight)
            if not restart:
                weight[:, kept] = new
        return kept, new

    return pruning(patches, targets, weight, counts, contribute, choose, reconstruct, checked=False)


@right("regression_prune")
def prune_with_a_list_of_channels(patches, targets, weight, counts, contribute, choose, reconstruct):
    """Channel by channel, in a dictionary."""
    if len(counts) == 0:
        raise ValueError("no count")
    if sorted(counts, reverse=True) != list(counts) or counts[-1] < 1:
        raise ValueError("counts must fall and stay above 0")
    slices = {c: weight[:, c].clone() for c in range(weight.shape[1])}
    for count in counts:
        unit = torch.zeros_like(weight)
        for c, own in slices.items():
            size = float(torch.linalg.vector_norm(own))
            if size > 0:
                unit[:, c] = own / size
        beta = choose(contribute(patches, unit), targets, count).tolist()
        kept = [c for c, factor in enumerate(beta) if factor != 0]
        slices = dict(zip(kept, reconstruct(patches[:, kept], targets).unbind(1)))
    return torch.tensor(kept), torch.stack([slices[c] for c in kept], dim=1)


@right("regression_prune")
def prune_with_normalize(patches, targets, weight, counts, contribute, choose, reconstruct):
    if not counts or any(count < 1 for count in counts) or list(counts) != sorted(counts)[::-1]:
        raise ValueError("counts")
    current = weight.detach().clone()
    for count in counts:
        flat = current.transpose(0, 1).reshape(current.shape[1], -1)
        unit = F.normalize(flat, dim=1).reshape(current.transpose(0, 1).shape).transpose(0, 1)
        kept = torch.nonzero(choose(contribute(patches, unit), targets, count), as_tuple=True)[0]
        rebuilt = reconstruct(patches.index_select(1, kept), targets)
        current = torch.zeros_like(current).index_copy(1, kept, rebuilt)
    return kept, rebuilt


# --- prune_in_order --------------------------------------------------------------------------------------------


@wrong(
    "prune_in_order",
    "You read all the inputs first: each later layer was fitted to inputs that it no longer gets.",
)
def order_inputs_first(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    inputs, kept = {name: read_inputs(name) for name in layers}, {}
    for name in layers:
        kept[name], weight = prune_layer(name, inputs[name], read_targets(name))
        write(name, kept[name], weight)
    return kept


@wrong(
    "prune_in_order",
    "You wrote the new weights only at the end: no layer saw what the layers before it had become.",
)
def order_writes_last(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    pruned = {name: prune_layer(name, read_inputs(name), read_targets(name)) for name in layers}
    for name, (kept, weight) in pruned.items():
        write(name, kept, weight)
    return {name: kept for name, (kept, _) in pruned.items()}


@wrong(
    "prune_in_order",
    "You began with the last layer: the inputs of a layer change when the layers before it are pruned.",
)
def order_backwards(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    kept = {}
    for name in reversed(layers):
        kept[name], weight = prune_layer(name, read_inputs(name), read_targets(name))
        write(name, kept[name], weight)
    return {name: kept[name] for name in layers}


@wrong("prune_in_order", "You sorted the names: the order of the list is the order of the network.")
def order_sorted(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    kept = {}
    for name in sorted(layers):
        kept[name], weight = prune_layer(name, read_inputs(name), read_targets(name))
        write(name, kept[name], weight)
    return kept


@wrong("prune_in_order", "Inputs and targets are exchanged when you call prune_layer.")
def order_exchanged(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    kept = {}
    for name in layers:
        kept[name], weight = prune_layer(
            name, read_targets(name)[:, 0], read_inputs(name)[:, None].expand(-1, 3)
        )
        write(name, kept[name], weight)
    return kept


@wrong("prune_in_order", "You returned the new weights: the channels that are left are asked for.")
def order_returns_weights(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    weights = {}
    for name in layers:
        kept, weights[name] = prune_layer(name, read_inputs(name), read_targets(name))
        write(name, kept, weights[name])
    return weights


@wrong("prune_in_order", "You returned a list: a dictionary with the layers' names is asked for.")
def order_returns_a_list(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    found = []
    for name in layers:
        kept, weight = prune_layer(name, read_inputs(name), read_targets(name))
        write(name, kept, weight)
        found.append(kept)
    return found


@wrong("prune_in_order", "You pruned every layer and wrote none of them into the network.")
def order_never_writes(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    return {name: prune_layer(name, read_inputs(name), read_targets(name))[0] for name in layers}


@wrong("prune_in_order", "You call prune_layer twice for each layer, once for each of its results.")
def order_prunes_twice(layers, read_inputs, read_targets, prune_layer, write):

    def check_names(layers):
        if len(set(layers)) != len(layers):
            raise ValueError("a layer is named twice")

    check_names(layers)
    kept = {}
    for name in layers:
        patches, targets = read_inputs(name), read_targets(name)
        kept[name] = prune_layer(name, patches, targets)[0]
        write(name, kept[name], prune_layer(name, patches, targets)[1])
    return kept


@wrong(
    "prune_in_order",
    "A layer that is named twice is accepted, or noticed when other layers have been pruned already.",
)
def order_unchecked(layers, read_inputs, read_targets, prune_layer, write):
    kept = {}
    for name in layers:
        kept[name], weight = prune_layer(name, read_inputs(name), read_targets(name))
        write(name, kept[name], weight)
    return kept


@right("prune_in_order")
def order_targets_first(layers, read_inputs, read_targets, prune_layer, write):
    """The targets are those of the original network: they may be read at any time."""
    if any(layers.count(name) > 1 for name in layers):
        raise ValueError("a layer is named twice")
    targets = [read_targets(name) for name in layers]
    result = {}
    for name, target in zip(layers, targets):
        found = prune_layer(name, read_inputs(name), target)
        write(name, *found)
        result[name] = found[0]
    return result


@right("prune_in_order")
def order_by_recursion(layers, read_inputs, read_targets, prune_layer, write):
    if len(layers) != len(dict.fromkeys(layers)):
        raise ValueError("a layer is named twice")

    def rest(names):
        if not names:
            return {}
        kept, weight = prune_layer(names[0], read_inputs(names[0]), read_targets(names[0]))
        write(names[0], kept, weight)
        return {names[0]: kept} | rest(names[1:])

    return rest(list(layers))
