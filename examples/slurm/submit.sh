#!/bin/bash
# Fills a cache on a SLURM cluster: word times on CPU nodes first, then features on GPU nodes.
#
# Run it on the login node, in the environment where SADGR is installed (SLURM takes the environment along):
#
#   bash submit.sh SOURCE CACHE NAME [OPTION of sadgr-extract ...]
#   bash submit.sh /shared/data/CMU_MOSEI /shared/lab/cache mosei --dtype bfloat16
#
# SOURCE   the data set; see docs/data-sets.md
# CACHE    a folder on a file system that all nodes share, not /tmp: every task writes into it
# NAME     the data set's name in the cache
#
# How many tasks there are, and what each of them gets, stands at the top of align.sbatch and extract.sbatch: adapt these.
# Whatever ends a job, submitting the same once more does only what is missing.
set -euo pipefail

if [ "$#" -lt 3 ]; then
    echo "usage: bash submit.sh SOURCE CACHE NAME [OPTION of sadgr-extract ...]" >&2
    exit 2
fi
source=$1 cache=$2 name=$3
shift 3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Compute nodes often have no internet. So one clip is done here, on the CPU, into a cache that is thrown away: that fetches
# the models into your home (HF_HOME names another place; it must be shared, too), and shows that the source can be read.
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
sadgr-extract "$source" "$trial/cache" --dataset "$name" "$@" \
    --limit 1 --store mean,frames --devices cpu --max-failures 1

# --parsable prints the job's id alone, or `id;cluster`.
align=$(sbatch --parsable "$here/align.sbatch" "$source" "$cache" "$name")
align=${align%%;*}

# `afterok` lets the GPU tasks begin once all CPU tasks have ended with exit code 0. Should one have failed, the GPU job would
# wait for ever; --kill-on-invalid-dep ends it instead. Mend what the log says, and submit again.
extract=$(sbatch --parsable --dependency="afterok:$align" --kill-on-invalid-dep=yes \
    "$here/extract.sbatch" "$source" "$cache" "$name" "$@")

echo "align: job $align, then extract: job ${extract%%;*}"
echo "watch them with squeue --me; what is done and what failed, with sadgr-cache failures $cache"
