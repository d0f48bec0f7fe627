use super::*;

fn sample(seconds: f64) -> Sample {
    Sample {
        units: 10,
        seconds,
        commits: Some(2),
        db_bytes: 4_096,
        ..Sample::default()
    }
}

fn report() -> Report {
    let rounds = Rounds {
        engine: vec![sample(4.0), sample(2.0), sample(2.0)],
        floor: vec![sample(1.0), sample(1.0), sample(1.5)],
        steal_percent: None,
    };
    Report::of("fanout", "ratio >= 0.5", &rounds).with("rss_peak_mb_1000", 7.5)
}

#[test]
fn the_json_has_every_agreed_field() {
    let json = serde_json::to_value(report()).unwrap();
    let agreed = "workload store synchronous log n seconds per_second floor_per_second ratio commits rss_peak_mb db_mb \
        p50_ms p99_ms rounds ratio_min ratio_max commits_per_unit cpu_us_per_unit db_bytes_per_unit \
        rss_peak_mb_1000";
    for field in agreed.split_whitespace() {
        assert!(json.get(field).is_some(), "{field} is missing in {json}");
    }
    for fact in ["os", "cores", "rustc"] {
        assert!(json["machine"].get(fact).is_some(), "{fact}");
    }
}

#[test]
fn the_ratio_is_the_median_of_paired_rounds() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["ratio"], 0.5);
    assert_eq!(json["ratio_min"], 0.25);
    assert_eq!(json["ratio_max"], 0.75);
    assert_eq!(json["per_second"], 5.0);
    assert_eq!(json["commits_per_unit"], 0.2);
    assert!(json["p50_ms"].is_null());
}

#[test]
fn the_object_is_one_line() {
    assert!(!serde_json::to_string(&report()).unwrap().contains('\n'));
}

#[test]
fn what_a_commit_survives_and_what_is_logged_is_in_the_object() {
    let report = report().committing(Some("normal"));
    let json = serde_json::to_value(report.logging(Some("info".to_owned()))).unwrap();
    assert_eq!(json["synchronous"], "normal");
    assert_eq!(json["log"], "info");
}
