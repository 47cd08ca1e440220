#!/bin/bash
# P²O on two nodes of eight GPUs, by Slurm. The run directory must be on a file system that all nodes share.
#
#   sbatch examples/slurm.sh p2o --set data.train=problems.jsonl --set data.evaluation=benchmarks.jsonl
#   sbatch examples/slurm.sh p2o --resume                      # the newest run of the recipe, after a time limit
#SBATCH --job-name=p2o
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log

set -euo pipefail

# shellcheck disable=SC1091
source "${P2O_VENV:-.venv}/bin/activate"

# The first node of the job is where the processes meet.
nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_node=${nodes%%$'\n'*}

export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / SLURM_GPUS_ON_NODE))
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun does not take it over from sbatch

# One torchrun a node, each of which starts a process per GPU.
exec srun torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" \
    --nproc-per-node "$SLURM_GPUS_ON_NODE" \
    --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-backend c10d \
    --rdzv-endpoint "$head_node:29500" \
    -m p2o train "$@"
