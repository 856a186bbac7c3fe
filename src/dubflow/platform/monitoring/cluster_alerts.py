"""Alerts on what others measure: Kubernetes, its controllers, GPUs. Their metrics: ``infra/monitoring/metrics``."""

from __future__ import annotations

from dubflow.platform.monitoring.alert import Alert

CLUSTER = (
    Alert(
        "DubflowPodRestarting",
        'increase(kube_pod_container_status_restarts_total{namespace=~"dubflow|dubflow-training"}[30m]) >= 3',
        "0m",
        "ticket",
        "{{ $labels.namespace }}/{{ $labels.pod }} keeps restarting",
        "Its container {{ $labels.container }} was started three times or more in half an hour.",
        "DubflowClusterUnknown",
    ),
    Alert(
        "DubflowReplicasMissing",
        'kube_deployment_status_replicas_available{namespace="dubflow"} '
        '< kube_deployment_spec_replicas{namespace="dubflow"}',
        "15m",
        "ticket",
        "{{ $labels.deployment }} has fewer pods than it should",
        "For a quarter of an hour some were not available: no node has room, or they do not become ready.",
        "DubflowClusterUnknown",
    ),
    Alert(
        "DubflowVolumeFilling",
        'kubelet_volume_stats_available_bytes{namespace=~"dubflow|dubflow-training"} '
        '/ kubelet_volume_stats_capacity_bytes{namespace=~"dubflow|dubflow-training"} < 0.1',
        "15m",
        "ticket",
        "{{ $labels.persistentvolumeclaim }} is nearly full",
        "Less than a tenth of the volume is free.",
        "DubflowClusterUnknown",
    ),
    Alert(
        "DubflowScalingBroken",
        'sum by (scaledObject) (increase(keda_scaler_detail_errors_total{scaledObject=~"dubflow.*"}[15m])) > 3',
        "5m",
        "ticket",
        "{{ $labels.scaledObject }} cannot read what it scales on",
        "KEDA gets no answer from Prometheus and falls back on a fixed number of workers.",
        "DubflowControllerUnknown",
    ),
    Alert(
        "DubflowTrainingQueued",
        'max by (cluster_queue) (min_over_time(kueue_pending_workloads{status="inadmissible"}[30m])) > 0',
        "30m",
        "ticket",
        "Trainings wait in {{ $labels.cluster_queue }} and cannot be admitted",
        "They ask for more than the queue's quota has, or for a flavour that no node offers.",
        "DubflowControllerUnknown",
    ),
    Alert(
        "DubflowClusterUnknown",
        'absent(kube_pod_container_status_restarts_total{namespace="dubflow"})',
        "15m",
        "ticket",
        "kube-state-metrics tells nothing of dubflow",
        "It is not scraped: restarts and missing pods would not be seen.",
        "DubflowClusterUnknown",
    ),
    *(
        Alert(
            "DubflowControllerUnknown",
            f"absent({metric})",
            "15m",
            "ticket",
            f"{name} is not scraped",
            "Its controller is down, or its ServiceMonitor is missing.",
            "DubflowControllerUnknown",
            {"controller": name},
        )
        for name, metric in (("keda", "keda_build_info"), ("kueue", "kueue_pending_workloads"))
    ),
)

GPU = (
    Alert(
        "DubflowGpuError",
        "max by (Hostname, gpu) (DCGM_FI_DEV_XID_ERRORS) > 0",
        "1m",
        "ticket",
        "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} reported an XID error",
        "The value is the number of the last one.",
        "DubflowGpuUnknown",
    ),
    Alert(
        "DubflowGpuMemoryFull",
        "max by (Hostname, gpu) (DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)) > 0.97",
        "15m",
        "ticket",
        "The memory of GPU {{ $labels.gpu }} of {{ $labels.Hostname }} is nearly full",
        "The next larger clip or batch may not fit.",
        "DubflowGpuUnknown",
    ),
    Alert(
        "DubflowGpuUnknown",
        'absent(DCGM_FI_DEV_GPU_UTIL) and on() sum(kube_node_status_allocatable{resource="nvidia_com_gpu"}) > 0',
        "15m",
        "ticket",
        "There are GPUs, and none is measured",
        "dcgm-exporter is not scraped: errors and full memory would not be seen.",
        "DubflowClusterUnknown",
    ),
)
