"""What learners import and never write.

| module | what it holds |
|---|---|
| `labkit.datasets` | the course's subset of Fashion-MNIST |
| `labkit.models` | the MLP and the CNN that the labs prune |
| `labkit.checkpoints` | trained weights of both, three seeds each |
| `labkit.training` | `accuracy` and `train` |
| `labkit.cost` | parameters and multiply-adds |
| `labkit.widths` | the CNN at other widths, and a recorded table of their accuracies |
| `labkit.timing` | one protocol for every wall-clock time |
| `labkit.plots` | one look for every figure |
| `labkit.recorded` | the numbers that a lab's long run has recorded |
| `labkit.grids` | the weight or the mask of a convolution, drawn as a grid of kernels |
| `labkit.sparse_products` | one weight in every format that PyTorch multiplies, with random valid zeros |
| `labkit.gpu_speedup` | `python -m labkit.gpu_speedup --out FILE` records the speed of these formats on a machine |
| `labkit.workers` | runs a function in several real processes, on one machine or under torchrun |
| `labkit.exchange` | what these workers send each other, and its bytes, counted |
| `labkit.speed_records` | reads such records, and refuses one that is not what it should be |

Importing `labkit` alone loads nothing heavy: import the module that you need.
"""
