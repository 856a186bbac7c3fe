"""For every alert of a level or a state: data on which it fires, and healthy data on which it is quiet.

Values are as promtool writes them: ``1+2x3`` is 1, 3, 5, 7, one a minute. The clock begins at 0: earlier times are
negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_GATEWAY = 'up{job="dubflow-gateway",instance="g:8080"}'
_SEEN = 'dubflow_worker_seen_timestamp_seconds{worker="w"}'
_ALIVE = {_SEEN: "0+60x200"}
_FAILED = 'nv_inference_request_failure{model="diflow",version="1",reason="BACKEND"}'
_CANCELED = 'nv_inference_request_failure{model="diflow",version="1",reason="CANCELED"}'
_RIGHT = 'nv_inference_request_success{model="diflow",version="1"}'
_PENDING = 'nv_inference_pending_request_count{model="diflow",version="1"}'
_LOGGED = 'dubflow_training_logged_timestamp_seconds{run="r"}'
_FINISHED = 'dubflow_training_finished{run="r"}'
_SAVED = 'dubflow_training_checkpoint_timestamp_seconds{run="r"}'
_LOSS = 'dubflow_training_loss{run="r",part="train"}'
_RUN = {"run": "r"}
_LOSS_LABELS = {"run": "r", "part": "train"}
_POD = {"namespace": "dubflow", "pod": "p", "container": "c"}
_RESTARTS = 'kube_pod_container_status_restarts_total{namespace="dubflow",pod="p",container="c"}'
_AVAILABLE = 'kube_deployment_status_replicas_available{namespace="dubflow",deployment="d"}'
_WANTED = 'kube_deployment_spec_replicas{namespace="dubflow",deployment="d"}'
_FREE = 'kubelet_volume_stats_available_bytes{namespace="dubflow",persistentvolumeclaim="v"}'
_CAPACITY = 'kubelet_volume_stats_capacity_bytes{namespace="dubflow",persistentvolumeclaim="v"}'
_KEDA = 'keda_scaler_detail_errors_total{scaledObject="dubflow-worker",scaler="s",metric="m"}'
_PENDING_JOBS = 'kueue_pending_workloads{cluster_queue="q",status="inadmissible"}'
_KUEUE = 'kueue_pending_workloads{cluster_queue="q",status="active"}'
_USED = 'DCGM_FI_DEV_FB_USED{Hostname="h",gpu="0"}'
_UNUSED = 'DCGM_FI_DEV_FB_FREE{Hostname="h",gpu="0"}'
_GPU = {"Hostname": "h", "gpu": "0"}
_DRIFT = 'dubflow_drift_alarm{feature="speaker"}'
_GATE = "dubflow_gate_last_timestamp_seconds"


def _attempts(again: int) -> dict[str, str]:
    return {
        'dubflow_job_attempts_total{outcome="done"}': f"0+{10 - again}x200",
        'dubflow_job_attempts_total{outcome="again"}': f"0+{again}x200",
    } | _ALIVE


def _deliveries(bad: int) -> dict[str, str]:
    return {
        'dubflow_webhook_deliveries_total{outcome="delivered"}': f"0+{10 - bad}x200",
        'dubflow_webhook_deliveries_total{outcome="failed"}': f"0+{bad}x200",
    } | _ALIVE


@dataclass(frozen=True)
class Case:
    """Data for one alert, and what is expected of it.

    Attributes:
        what: in a few words. series: values by series. at: minutes after which it is asked.
        fires: labels of every firing instance beyond those that the rule sets; ``severity`` tells rules of one name
            apart. Nothing: it must be quiet.
    """

    alert: str
    what: str
    series: Mapping[str, str]
    at: int
    fires: tuple[Mapping[str, str], ...] = ()


def _fires(
    alert: str, series: Mapping[str, str], at: int = 60, *labels: Mapping[str, str], what: str = "fires"
) -> Case:
    return Case(alert, what, series, at, labels or ({},))


def _quiet(alert: str, series: Mapping[str, str], at: int = 60, what: str = "all is well") -> Case:
    return Case(alert, what, series, at)


CASES: tuple[Case, ...] = (
    _fires("DubflowTargetDown", {_GATEWAY: "0+0x60"}, 10, {"job": "dubflow-gateway", "instance": "g:8080"}),
    _quiet("DubflowTargetDown", {_GATEWAY: "1+0x60"}, 10),
    _quiet("DubflowTargetDown", {_GATEWAY: "1+0x5 0+0x2 1+0x50"}, 10, "one scrape was missed"),
    _fires(
        "DubflowTargetGone",
        {'up{job="dubflow-triton"}': "1+0x60", 'up{job="dubflow-telemetry"}': "1+0x60"},
        20,
        {"job": "dubflow-gateway"},
    ),
    _quiet(
        "DubflowTargetGone",
        {f'up{{job="dubflow-{one}"}}': "0+0x60" for one in ("gateway", "triton", "telemetry")},
        20,
        "down is not gone",
    ),
    _fires("DubflowApiUnknown", {_GATEWAY: "1+0x60"}, 20),
    _quiet("DubflowApiUnknown", {'dubflow_http_requests_total{route="/metrics",status="200"}': "1+2x60"}, 20),
    _fires("DubflowQueueUnknown", {_GATEWAY: "1+0x60"}, 20),
    _quiet("DubflowQueueUnknown", {"dubflow_queue_oldest_seconds": "0+0x60"}, 20),
    _fires("DubflowWorkersUnseen", {"dubflow_queue_jobs": "3+0x60"}, 20, what="jobs wait and nobody ever came"),
    _fires("DubflowWorkersUnseen", {"dubflow_queue_jobs": "3+0x60", _SEEN: "0+0x60"}, 20, what="the last one died"),
    _fires("DubflowWorkersUnseen", {'dubflow_jobs{state="done"}': "0+1x60"}, 20, what="somebody works unseen"),
    _quiet("DubflowWorkersUnseen", {"dubflow_queue_jobs": "3+0x60", _SEEN: "0+60x60"}, 20),
    _quiet(
        "DubflowWorkersUnseen",
        {"dubflow_queue_jobs": "0+0x60", 'dubflow_jobs{state="done"}': "7+0x60"},
        20,
        "scaled to none, for there is nothing to do",
    ),
    _fires("DubflowModelNotDubbing", {"dubflow_serving_healthy": "1+0x20 0+0x60"}, 30),
    _quiet("DubflowModelNotDubbing", {"dubflow_serving_healthy": "1+0x60"}, 30),
    _fires(
        "DubflowModelUnknown",
        {"dubflow_serving_healthy": "1+0x60", "dubflow_serving_checked_timestamp_seconds": "0+0x60"},
        30,
        what="it was well once, and nobody has looked since",
    ),
    _quiet(
        "DubflowModelUnknown",
        {"dubflow_serving_healthy": "1+0x60", "dubflow_serving_checked_timestamp_seconds": "0+60x60"},
        30,
    ),
    _fires("DubflowTritonFailing", {_FAILED: "0+1x60", _RIGHT: "0+9x60"}, 30, {"model": "diflow"}),
    _quiet("DubflowTritonFailing", {_FAILED: "0+1x60", _CANCELED: "0+50x60", _RIGHT: "0+99x60"}, 30, "1 % fails"),
    _fires("DubflowTritonBacklog", {_PENDING: "80+0x60"}, 40, {"model": "diflow"}),
    _quiet("DubflowTritonBacklog", {_PENDING: "3+0x60"}, 40),
    _fires(
        "DubflowModelsDying",
        {"dubflow_serving_stubs_died_total": "0+0x20 3+0x60", "dubflow_serving_server_restarts_total": "0+0x60"},
        40,
    ),
    _quiet(
        "DubflowModelsDying",
        {"dubflow_serving_stubs_died_total": "9+0x60", "dubflow_serving_server_restarts_total": "1+0x60"},
        40,
        "they died long ago",
    ),
    _fires("DubflowVersionRefused", {"dubflow_serving_refusals_total": "0+0x20 1+0x60"}, 40),
    _quiet("DubflowVersionRefused", {"dubflow_serving_refusals_total": "4+0x60"}, 40),
    _fires("DubflowJobsTriedAgain", _attempts(4), 60),
    _quiet("DubflowJobsTriedAgain", _attempts(1), 60),
    _fires("DubflowWebhooksFailing", _deliveries(8), 60),
    _quiet("DubflowWebhooksFailing", _deliveries(3), 60),
    _fires("DubflowQualityDrift", {_DRIFT: "1+0x100"}, 90, {"feature": "speaker"}),
    _quiet("DubflowQualityDrift", {_DRIFT: "0+0x100"}, 90),
    _quiet("DubflowQualityDrift", {_DRIFT: "0+0x40 1+0x30 0+0x40"}, 75, "half an hour of odd clips"),
    _fires("DubflowDriftUnknown", {"dubflow_dubbed_clip_seconds_total": "0+5x100"}, 90),
    _quiet("DubflowDriftUnknown", {"dubflow_dubbed_clip_seconds_total": "0+5x100", _DRIFT: "0+0x100"}, 90),
    _quiet("DubflowDriftUnknown", {"dubflow_dubbed_clip_seconds_total": "50+0x100"}, 90, "nothing is dubbed"),
    _fires("DubflowGateStale", {_GATE: "-129600+0x60"}, 40, {"severity": "ticket"}, what="36 hours have passed"),
    _fires(
        "DubflowGateStale",
        {_GATE: "-345600+0x60"},
        40,
        {"severity": "ticket"},
        {"severity": "page"},
        what="four days have passed",
    ),
    _quiet("DubflowGateStale", {_GATE: "-90000+0x60"}, 40, "last night's verdict"),
    _fires("DubflowGateUnknown", {'up{job="dubflow-telemetry"}': "1+0x100"}, 90),
    _quiet("DubflowGateUnknown", {_GATE: "0+0x100"}, 90),
    _fires("DubflowTrainingSilent", {_LOGGED: "0+0x100", _FINISHED: "0+0x100"}, 60, _RUN),
    _quiet("DubflowTrainingSilent", {_LOGGED: "0+60x100", _FINISHED: "0+0x100"}, 60),
    _quiet("DubflowTrainingSilent", {_LOGGED: "0+0x100", _FINISHED: "1+0x100"}, 60, "it has ended"),
    _quiet("DubflowTrainingSilent", {_LOGGED: "-90000+0x100", _FINISHED: "0+0x100"}, 60, "it was given up yesterday"),
    _fires("DubflowTrainingNotFinite", {_LOSS: "NaN+0x60", _LOGGED: "0+60x60", _FINISHED: "0+0x60"}, 30, _LOSS_LABELS),
    _fires(
        "DubflowTrainingNotFinite",
        {_LOSS: "Inf+0x60", _LOGGED: "0+60x60", _FINISHED: "0+0x60"},
        30,
        _LOSS_LABELS,
        what="infinite",
    ),
    _quiet("DubflowTrainingNotFinite", {_LOSS: "7-0.1x60", _LOGGED: "0+60x60", _FINISHED: "0+0x60"}, 30),
    _fires("DubflowTrainingUnsaved", {_LOGGED: "0+60x200", _SAVED: "0+0x200", _FINISHED: "0+0x200"}, 150, _RUN),
    _quiet("DubflowTrainingUnsaved", {_LOGGED: "0+60x200", _SAVED: "0+60x200", _FINISHED: "0+0x200"}, 150),
    _fires("DubflowPodRestarting", {_RESTARTS: "0+0x20 1+1x40"}, 40, _POD),
    _quiet("DubflowPodRestarting", {_RESTARTS: "5+0x60"}, 40),
    _fires(
        "DubflowReplicasMissing",
        {_AVAILABLE: "1+0x60", _WANTED: "2+0x60"},
        30,
        {"namespace": "dubflow", "deployment": "d"},
    ),
    _quiet("DubflowReplicasMissing", {_AVAILABLE: "2+0x60", _WANTED: "2+0x60"}, 30),
    _fires(
        "DubflowVolumeFilling",
        {_FREE: "5+0x60", _CAPACITY: "100+0x60"},
        30,
        {"namespace": "dubflow", "persistentvolumeclaim": "v"},
    ),
    _quiet("DubflowVolumeFilling", {_FREE: "50+0x60", _CAPACITY: "100+0x60"}, 30),
    _fires("DubflowScalingBroken", {_KEDA: "0+1x60"}, 30, {"scaledObject": "dubflow-worker"}),
    _quiet("DubflowScalingBroken", {_KEDA: "7+0x60"}, 30),
    _fires("DubflowTrainingQueued", {_PENDING_JOBS: "1+0x100"}, 80, {"cluster_queue": "q"}),
    _quiet("DubflowTrainingQueued", {_PENDING_JOBS: "0+0x100", _KUEUE: "4+0x100"}, 80, "they wait their turn"),
    _fires("DubflowClusterUnknown", {}, 30, {"namespace": "dubflow"}),
    _quiet("DubflowClusterUnknown", {_RESTARTS: "0+0x60"}, 30),
    _fires("DubflowControllerUnknown", {_KUEUE: "0+0x60"}, 30, {"controller": "keda"}),
    _quiet("DubflowControllerUnknown", {_KUEUE: "0+0x60", 'keda_build_info{version="2"}': "1+0x60"}, 30),
    _fires("DubflowGpuError", {'DCGM_FI_DEV_XID_ERRORS{Hostname="h",gpu="0"}': "0+0x10 79+0x60"}, 30, _GPU),
    _quiet("DubflowGpuError", {'DCGM_FI_DEV_XID_ERRORS{Hostname="h",gpu="0"}': "0+0x60"}, 30),
    _fires("DubflowGpuMemoryFull", {_USED: "99+0x60", _UNUSED: "1+0x60"}, 30, _GPU),
    _quiet("DubflowGpuMemoryFull", {_USED: "60+0x60", _UNUSED: "40+0x60"}, 30),
    _fires("DubflowGpuUnknown", {'kube_node_status_allocatable{node="n",resource="nvidia_com_gpu"}': "8+0x60"}, 30),
    _quiet(
        "DubflowGpuUnknown",
        {
            'kube_node_status_allocatable{node="n",resource="nvidia_com_gpu"}': "8+0x60",
            'DCGM_FI_DEV_GPU_UTIL{Hostname="h",gpu="0"}': "30+0x60",
        },
        30,
        "cards are measured",
    ),
    _quiet("DubflowGpuUnknown", {'kube_node_status_allocatable{node="n",resource="cpu"}': "8+0x60"}, 30, "no GPUs"),
)
