//! The table of the README, from the objects that workloads end with.

use serde_json::Value;

/// Growth of the peak memory from 1,000 children to the most that were measured, in MiB.
const MEMORY_GROWTH_MB_MAX: f64 = 64.0;

/// A row for each report, in their order, and below the table what a fan-out takes.
pub fn of(reports: &[Value]) -> String {
    let mut text = String::from("| workload | engine | floor | ratio |\n|---|---|---|---|\n");
    for report in reports {
        let [workload, engine, floor] = cells(report);
        let ratio = ratio(report);
        text.push_str(&format!("| {workload} | {engine} | {floor} | {ratio} |\n"));
    }
    text.push_str(&below(reports));
    text
}

/// What was measured, the engine's figure, the floor's.
fn cells(r: &Value) -> [String; 3] {
    let name = r["workload"].as_str().unwrap_or_default();
    let [what, engine, floor] = match name {
        "storm" | "starvation" | "sleepers" | "unclaimable" => beside_others(name, r),
        "join-wake" | "replay" | "blocked" => without_floor(name, r),
        _ => beside_floor(name, r),
    };
    [format!("`{name}`: {what}"), engine, floor]
}

fn beside_floor(name: &str, r: &Value) -> [String; 3] {
    let n = count(&r["n"]);
    let rate = |of: &str| format!("{}{of}", count(&r["per_second"]));
    let floor_rate = format!("{}/s", count(&r["floor_per_second"]));
    match name {
        "fanout" => [format!("{n} children of one step"), rate("/s"), floor_rate],
        "sequential" => [
            format!("{n} steps of one run"),
            format!("{} us a step", count(&r["us_per_step"])),
            format!("{} us", count(&r["floor_us_per_step"])),
        ],
        "latency" => [
            "start to result of a one-step run, idle".to_owned(),
            times(r),
            format!("p50 {} ms", tenths(&r["floor_p50_ms"])),
        ],
        _ => [
            format!("{n} steps of runs at once"),
            rate(" steps/s"),
            floor_rate,
        ],
    }
}

/// Where the floor is the engine itself, without the others.
fn beside_others(name: &str, r: &Value) -> [String; 3] {
    let rate = format!("{} runs/s", count(&r["per_second"]));
    let floor_rate = |of: &str| format!("{}/s {of}", count(&r["floor_per_second"]));
    match name {
        "storm" => [
            format!("runs while {} others retry", count(&r["failing"])),
            rate,
            floor_rate("without the storm"),
        ],
        "starvation" => [
            format!(
                "small runs beside a fan-out of {}, p99 of the delay",
                count(&r["n"])
            ),
            format!(
                "first line {} ms, result {} ms, ten children {} ms; {}/s",
                count(&r["first_line"]["delay"]["p99_ms"]),
                count(&r["result"]["delay"]["p99_ms"]),
                count(&r["ten_children"]["delay"]["p99_ms"]),
                count(&r["per_second"]),
            ),
            floor_rate("alone"),
        ],
        _ => [
            format!("runs beside {} others", count(&r["crowd"])),
            format!(
                "{rate}, {}; {} rows touched a claim of {}",
                times(&r["result"]),
                count(&r["rows_touched_per_claim"]),
                count(&r["claim_batch"]),
            ),
            floor_rate("beside 100"),
        ],
    }
}

fn without_floor(name: &str, r: &Value) -> [String; 3] {
    let [what, engine] = match name {
        "join-wake" => ["last child done to parent running".to_owned(), times(r)],
        "replay" => [
            "wake to first new step of a run with a long history".to_owned(),
            format!("{} ms", count(&r["p50_ms"])),
        ],
        _ => [
            format!("the one blocked child of {}", count(&r["children"])),
            format!(
                "named in {} ms; {} ms from its end to its parent",
                tenths(&r["blocked_children"]["p50_ms"]),
                tenths(&r["p50_ms"]),
            ),
        ],
    };
    [what, engine, String::new()]
}

fn ratio(r: &Value) -> String {
    let of = |field: &str| r[field].as_f64();
    match (of("ratio"), of("ratio_min"), of("ratio_max")) {
        (Some(ratio), Some(min), Some(max)) => format!("{ratio:.2} ({min:.2} to {max:.2})"),
        _ => String::new(),
    }
}

/// Memory with 1,000 children beside memory with the most, commits and bytes a child.
fn below(reports: &[Value]) -> String {
    let mut text = String::new();
    let fan_outs = reports.iter().filter(|r| r["workload"] == "fanout");
    for r in fan_outs {
        let mb = |field: &str| r[field].as_f64();
        let (Some(few), Some(many)) = (mb("rss_peak_mb_1000"), mb("rss_peak_mb")) else {
            continue;
        };
        let growth = many - few;
        let verdict = match growth <= MEMORY_GROWTH_MB_MAX {
            true => "within",
            false => "OVER",
        };
        text.push_str(&format!(
            "\n{} children: peak memory {many:.0} MB, {few:.0} MB with 1,000: {growth:.0} MB more, {verdict} the {MEMORY_GROWTH_MB_MAX:.0}; \
             {:.4} commits and {} bytes a child.\n",
            count(&r["n"]),
            r["commits_per_unit"].as_f64().unwrap_or_default(),
            count(&r["db_bytes_per_unit"]),
        ));
    }
    text
}

fn times(of: &Value) -> String {
    format!(
        "p50 {} ms, p99 {} ms",
        tenths(&of["p50_ms"]),
        tenths(&of["p99_ms"])
    )
}

fn tenths(value: &Value) -> String {
    match value.as_f64() {
        Some(value) => format!("{value:.1}"),
        None => "-".to_owned(),
    }
}

/// A whole number in groups of three; of large ones three digits mean something.
fn count(value: &Value) -> String {
    let Some(value) = value.as_f64() else {
        return "-".to_owned();
    };
    let digits = format!(
        "{:.0}",
        if value >= 10_000.0 {
            (value / 100.0).round() * 100.0
        } else {
            value
        }
    );
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits.to_owned()),
        None => ("", digits),
    };
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fan_out_has_its_row_and_its_memory_below() {
        let report = json!({
            "workload": "fanout", "n": 1_000_000, "per_second": 64_749.0,
            "floor_per_second": 112_912.0, "ratio": 0.573, "ratio_min": 0.5, "ratio_max": 0.6,
            "rss_peak_mb": 63.2, "rss_peak_mb_1000": 13.0, "commits_per_unit": 0.002,
            "db_bytes_per_unit": 277.3,
        });
        let text = of(std::slice::from_ref(&report));
        let row = "| `fanout`: 1,000,000 children of one step | 64,700/s | 112,900/s | 0.57 (0.50 to 0.60) |";
        assert!(text.contains(row), "{text}");
        let memory = "peak memory 63 MB, 13 MB with 1,000: 50 MB more, within the 64; 0.0020 commits and 277 bytes a child.";
        assert!(text.contains(memory), "{text}");
        let mut fat = report;
        fat["rss_peak_mb"] = json!(90.0);
        assert!(of(&[fat]).contains("OVER"));
    }

    #[test]
    fn what_was_not_measured_is_a_dash_and_never_a_zero() {
        let report =
            json!({ "workload": "sleepers", "crowd": 500, "rows_touched_per_claim": null });
        let text = of(&[report]);
        assert!(text.contains("- rows touched a claim of -"), "{text}");
    }

    #[test]
    fn delays_are_told_at_their_p99() {
        let quantiles = |p99| json!({ "delay": { "p50_ms": 1.0, "p99_ms": p99 } });
        let report = json!({
            "workload": "starvation", "n": 1_000, "first_line": quantiles(41.4),
            "result": quantiles(80.0), "ten_children": quantiles(120.0), "floor_per_second": 9_000.0,
            "per_second": 8_000.0,
        });
        let delays =
            "first line 41 ms, result 80 ms, ten children 120 ms; 8,000/s | 9,000/s alone |";
        assert!(of(&[report]).contains(delays));
    }

    #[test]
    fn numbers_are_grouped_and_large_ones_rounded() {
        let told = [0.4, 999.0, 1_000.0, 64_849.0, 1_234_567.0, -12.0].map(|n| count(&json!(n)));
        assert_eq!(told, ["0", "999", "1,000", "64,800", "1,234,600", "-12"]);
    }
}
