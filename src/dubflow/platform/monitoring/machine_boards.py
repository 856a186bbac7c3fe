"""The dashboards of trainings and of GPUs."""

from __future__ import annotations

from dubflow.platform.monitoring.panels import Board, Panel, Query, Row

_W = "[$__rate_interval]"
_RUN = "{{run}}"
_CARD = "{{Hostname}} {{gpu}}"

TRAINING = Board(
    "dubflow-training",
    "dubflow: training",
    "The 50 trainings that logged last, and the queues that they wait in.",
    (
        Row(
            "Progress",
            (
                Panel(
                    "Step",
                    "Last step that a run logged.",
                    "short",
                    (Query("max by (run) (dubflow_training_step)", _RUN),),
                ),
                Panel(
                    "Loss",
                    "Of training and validation.",
                    "short",
                    (Query("max by (run, part) (dubflow_training_loss)", "{{run}} {{part}}"),),
                ),
                Panel(
                    "Learning rate",
                    "As logged last.",
                    "short",
                    (Query("max by (run) (dubflow_training_learning_rate)", _RUN),),
                ),
                Panel(
                    "Throughput",
                    "Steps a second between the last two checkpoints.",
                    "ops",
                    (Query("max by (run) (dubflow_training_steps_per_second)", _RUN),),
                ),
                Panel(
                    "Silent for",
                    "Seconds since a run that has not ended logged anything.",
                    "s",
                    (
                        Query(
                            "(time() - max by (run) (dubflow_training_logged_timestamp_seconds)) "
                            "and on (run) (max by (run) (dubflow_training_finished) == 0)",
                            _RUN,
                        ),
                    ),
                    limits=(900, 1800),
                ),
                Panel(
                    "Newest checkpoint",
                    "Its age in seconds: what a kill would cost.",
                    "s",
                    (
                        Query(
                            "(time() - max by (run) (dubflow_training_checkpoint_timestamp_seconds)) "
                            "and on (run) (max by (run) (dubflow_training_finished) == 0)",
                            _RUN,
                        ),
                    ),
                    limits=(3600, 7200),
                ),
                Panel(
                    "Ended",
                    "1 once the result is there.",
                    "bool",
                    (Query("max by (run) (dubflow_training_finished)", ""),),
                    "table",
                    24,
                ),
            ),
        ),
        Row(
            "Queues",
            (
                Panel(
                    "Waiting for quota",
                    "Active ones wait their turn; inadmissible ones ask for what the queue does not have.",
                    "short",
                    (
                        Query(
                            "sum by (cluster_queue, status) (kueue_pending_workloads)", "{{cluster_queue}} {{status}}"
                        ),
                    ),
                ),
                Panel(
                    "Running",
                    "Workloads that were admitted and have not ended.",
                    "short",
                    (Query("sum by (cluster_queue) (kueue_admitted_active_workloads)", "{{cluster_queue}}"),),
                ),
                Panel(
                    "Wait for admission, p95",
                    "From creation to admission.",
                    "s",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le, cluster_queue) "
                            f"(rate(kueue_admission_wait_time_seconds_bucket{_W})))",
                            "{{cluster_queue}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
GPU = Board(
    "dubflow-gpu",
    "dubflow: GPUs",
    "What dcgm-exporter and Triton tell of the cards.",
    (
        Row(
            "Cards",
            (
                Panel(
                    "Busy",
                    "Share of time in which any kernel ran.",
                    "percent",
                    (Query("max by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL)", _CARD),),
                ),
                Panel(
                    "Tensor cores",
                    "Share of cycles in which they worked; low beside a busy card: shapes or precision do not fit.",
                    "percentunit",
                    (Query("max by (Hostname, gpu) (DCGM_FI_PROF_PIPE_TENSOR_ACTIVE)", _CARD),),
                ),
                Panel(
                    "Memory",
                    "Used share.",
                    "percentunit",
                    (
                        Query(
                            "max by (Hostname, gpu) "
                            "(DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE))",
                            _CARD,
                        ),
                    ),
                    limits=(0.9, 0.97),
                ),
                Panel(
                    "Power",
                    "Draw of each card.",
                    "watt",
                    (Query("max by (Hostname, gpu) (DCGM_FI_DEV_POWER_USAGE)", _CARD),),
                ),
                Panel(
                    "Temperature",
                    "Above 85 cards slow down.",
                    "celsius",
                    (Query("max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP)", _CARD),),
                    limits=(80, 85),
                ),
                Panel(
                    "Last XID error",
                    "0: none. The driver's manual explains the numbers; docs/runbook.md says what to do.",
                    "short",
                    (Query("max by (Hostname, gpu) (DCGM_FI_DEV_XID_ERRORS)", _CARD),),
                    limits=(0.5, 1),
                ),
            ),
        ),
        Row(
            "Who uses them",
            (
                Panel(
                    "GPUs asked for",
                    "By pods of serving and training.",
                    "short",
                    (
                        Query(
                            "sum by (namespace) (kube_pod_container_resource_requests"
                            '{resource="nvidia_com_gpu",namespace=~"dubflow|dubflow-training"})',
                            "{{namespace}}",
                        ),
                    ),
                    width=12,
                ),
                Panel(
                    "Triton's memory on cards",
                    "As Triton sees it; a model's own allocations included.",
                    "bytes",
                    (Query("max by (gpu_uuid) (nv_gpu_memory_used_bytes)", "{{gpu_uuid}}"),),
                    width=12,
                ),
            ),
        ),
    ),
)
