//! The table for people.

use std::fmt::Write;

use super::Report;

/// Two columns, engine and floor; lines without a number are left out.
pub fn of(report: &Report) -> String {
    let first = if report.workload == "floor" {
        "floor"
    } else {
        "engine"
    };
    let second = report.floor_per_second.map_or("", |_| "floor");
    let mut table = format!(
        "{} (n = {}, {} rounds, goal: {})\n{:24}{first:>12}{second:>12}\n",
        report.workload, report.n, report.rounds, report.goal, ""
    );
    let r = report;
    let lines = [
        ("seconds", r.seconds, None, 3),
        ("units per second", r.per_second, r.floor_per_second, 0),
        ("p50 ms", r.p50_ms, r.floor_p50_ms, 3),
        ("p99 ms", r.p99_ms, r.floor_p99_ms, 3),
        (
            "cpu us per unit",
            r.cpu_us_per_unit,
            r.floor_cpu_us_per_unit,
            2,
        ),
        (
            "server cpu us per unit",
            r.server_cpu_us_per_unit,
            r.floor_server_cpu_us_per_unit,
            2,
        ),
        (
            "wal bytes per unit",
            r.wal_bytes_per_unit,
            r.floor_wal_bytes_per_unit,
            0,
        ),
        ("peak memory MB", r.rss_peak_mb, r.floor_rss_peak_mb, 1),
        (
            "database bytes per unit",
            r.db_bytes_per_unit,
            r.floor_db_bytes_per_unit,
            0,
        ),
        ("commits", r.commits, None, 0),
        ("commits per unit", r.commits_per_unit, None, 4),
        ("ratio", r.ratio, None, 3),
        ("ratio, worst round", r.ratio_min, None, 3),
        ("ratio, best round", r.ratio_max, None, 3),
        ("stolen cpu %", r.steal_percent, None, 1),
    ];
    for (name, engine, floor, digits) in lines {
        if engine.is_some() || floor.is_some() {
            let cell = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.digits$}"));
            let (engine, floor) = (cell(engine), cell(floor));
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{name:24}{engine:>12}{floor:>12}");
        }
    }
    for (name, value) in &report.extra {
        let _ = writeln!(table, "{name:24}  {value}");
    }
    table
}
