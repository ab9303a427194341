//! Short reports for tests.

use serde_json::json;

use super::Report;

/// The report on a run with these figures and these findings, each of which makes it invalid.
pub fn report(findings: &[&str], ok: u64, p50_ms: f64) -> Report {
    let findings = findings.iter().map(
        |what| json!({"valid": false, "what": what, "operations": [], "operation_indices": []}),
    );
    let findings = Vec::from_iter(findings);
    let report = json!({
        "valid": findings.is_empty(), "workload": "echo", "nodes": ["n0"], "clients": 1, "time_limit_s": 1.0,
        "findings": findings, "warnings": [],
        "operations": {"ok": ok, "failed": 0, "indeterminate": 0}, "operations_by_type": {},
        "latency_ms": {"p50": p50_ms, "p95": 9.0, "p99": 9.0, "max": 9.0},
        "limits": [], "faults": [], "facts": {}, "repeat": ""
    });
    serde_json::from_value(report).expect("a report")
}
