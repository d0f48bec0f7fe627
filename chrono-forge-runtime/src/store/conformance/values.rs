//! Values on their way in and out: nothing is cut, rounded or read as something else.

use jiff::Timestamp;

use super::backend::Backend;
use super::fixture::*;
use crate::error::StoreErrorKind;
use crate::record::*;
use crate::store::Started;

/// Texts that mean something to somebody on the way.
const TEXTS: [&str; 14] = [
    "",
    " ",
    "NULL",
    "null",
    "{a,b}",
    "{\"a\"}",
    "\"",
    "'; --",
    "\\",
    "\\x00",
    "%_?$1",
    "\u{1}\u{7f}\t\n",
    "Zoë Ångström",
    "\u{10ffff}\u{feff}",
];

pub(crate) fn texts_are_kept_to_the_letter(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let key = |nth: usize, text: &str| format!("p$b$s${nth}{text}");
    let one = |(nth, text): (usize, &&str)| ChildRow {
        key: key(nth, text),
        args: format!("{text:?}").into(),
        ..child(0, true)
    };
    let mut dispatch = dispatch(0, true);
    dispatch.children = TEXTS.iter().enumerate().map(one).collect();
    let plan = Plan {
        dispatches: vec![dispatch],
        ..forge.plan(&parent)
    };
    let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
    let children = applied.outcomes.remove(0).claimed;
    let end = |(child, text): (&ClaimedRun, &&str)| Plan {
        records: vec![Record {
            result: Some(format!("{text:?}").into()),
            metadata: Some(format!("{{\"m\":{text:?}}}").into()),
            error_message: Some((*text).to_owned()),
            ..record(&format!("step${text}"))
        }],
        errors: vec![error(Some(&format!("step${text}")), 1, text)],
        end: Some(done(&format!("{text:?}"))),
        ..forge.plan(child)
    };
    let plans: Vec<Plan> = children.iter().zip(&TEXTS).map(end).collect();
    forge.writer.apply(&plans, at(2)).unwrap();
    for (nth, text) in TEXTS.iter().enumerate() {
        let row = forge.store.find_run("child", &key(nth, text)).unwrap();
        let row = row.unwrap_or_else(|| panic!("{text:?}"));
        let json = format!("{text:?}");
        assert_eq!((row.id, &*row.args), (children[nth].id, &*json));
        assert_eq!(row.output.as_deref(), Some(&*json));
        let record = forge.store.history(row.id, 1_000).unwrap().remove(0);
        assert_eq!(record.step_name, format!("step${text}"));
        assert_eq!(record.result.as_deref(), Some(&*json));
        assert_eq!(record.result_bytes, json.len() as u64);
        assert_eq!(record.error_message.as_deref(), Some(*text));
        let error = forge.store.pending(row.id, 1).unwrap().remove(0).last_error;
        assert_eq!(error, Some(("Broken".into(), (*text).to_owned())));
    }
}

/// A panic may say anything, and no database may refuse to hear of it.
pub(crate) fn a_message_with_a_null_character_is_no_reason_to_refuse_a_plan(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let plan = Plan {
        records: vec![Record {
            state: RecordState::Failed,
            error_class: Some("E".into()),
            error_message: Some("a\0b".into()),
            ..record("step$s")
        }],
        errors: vec![ErrorRow {
            backtrace: Some("\0".into()),
            ..error(None, 1, "a\0b")
        }],
        end: Some(RunEnd::Failed {
            at: at(3),
            attempts: 1,
            retry_counts: None,
        }),
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let (_, message) = forge.row(run.id).last_error.unwrap();
    assert!(
        message.starts_with('a') && message.ends_with('b'),
        "{message:?}"
    );
    let record = forge.store.history(run.id, 10).unwrap().remove(0);
    assert_eq!(record.error_message, Some(message));
}

pub(crate) fn a_key_that_cannot_be_stored_is_refused_and_nothing_else(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    match forge.writer.start(&[start("a\0b", "flow", 1, None)], at(1)) {
        Ok(answers) => assert!(matches!(answers[0], Started::Inserted(_))),
        Err(error) => assert_eq!(error.kind, StoreErrorKind::Refused, "{error}"),
    }
    forge.start_at("ab", 1, at(1));
    assert!(forge.store.find_run("flow", "ab").unwrap().is_some());
}

pub(crate) fn deadlines_round_up_to_microseconds_and_reach_the_ends_of_time(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let nanosecond = jiff::SignedDuration::from_nanos(1);
    let deadlines = [
        ("wait$early", Timestamp::MIN),
        ("wait$epoch", Timestamp::UNIX_EPOCH),
        ("wait$exact", at(60)),
        ("wait$odd", at(60) + nanosecond),
        ("wait$late", Timestamp::MAX),
    ];
    let waits = |(name, wake_at): (&str, Timestamp)| Record {
        wake_at: Some(wake_at),
        ..record(name)
    };
    let plan = Plan {
        records: deadlines.map(waits).into(),
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let history = forge.store.history(run.id, 10).unwrap();
    let read = |name: &str| {
        let row = history.iter().find(|row| row.step_name == name);
        row.unwrap().wake_at.unwrap()
    };
    // Before anything that a clock can say.
    assert!(read("wait$early") < Timestamp::from_second(-100_000_000_000).unwrap());
    assert_eq!(read("wait$epoch"), Timestamp::UNIX_EPOCH);
    assert_eq!(read("wait$exact"), at(60));
    let microsecond = jiff::SignedDuration::from_micros(1);
    assert_eq!(read("wait$odd"), at(60) + microsecond);
    let late = Timestamp::MAX.as_microsecond() - read("wait$late").as_microsecond();
    assert!((0..=1).contains(&late), "{late}");
    forge.end(&run, parked(Some(at(60) + nanosecond)));
    assert!(forge.claim(at(60)).is_empty());
    assert_eq!(forge.claim(at(60) + microsecond).len(), 1);
}

pub(crate) fn a_sleep_to_the_end_of_time_is_no_reason_to_wake(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(&run, parked(Some(Timestamp::MAX)));
    let next = forge
        .store
        .next_wake(&names(&["default"]), &names(&["flow"]));
    assert!(next.unwrap().unwrap().since() > at(1_000_000_000));
    assert!(forge.claim(at(1_000_000_000)).is_empty());
    forge.writer.wake("flow", "p", at(20)).unwrap();
    assert_eq!(forge.claim(at(20)).len(), 1);
}

pub(crate) fn a_batch_may_be_large_in_rows_and_in_bytes(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2_500);
    forge.seal(&parent);
    let large = format!("\"{}\"", "x".repeat(4 << 20));
    let finish = |(nth, child): (usize, &ClaimedRun)| Plan {
        records: vec![completed(1, if nth == 7 { &large } else { "1" })],
        end: Some(done("1")),
        ..forge.plan(child)
    };
    let plans: Vec<Plan> = children.iter().enumerate().map(finish).collect();
    let applied = forge.writer.apply(&plans, at(5)).unwrap();
    assert_eq!(applied.parents_woken, [parent.id]);
    assert_eq!(forge.counters(parent.id), (2_500, 0));
    assert_eq!(forge.count("chrono_forge_workflows WHERE state = 2"), 2_500);
    let history = forge.store.history(children[7].id, 100).unwrap();
    assert_eq!(history[0].result_bytes, large.len() as u64);
    let value = forge.store.result(children[7].id, history[0].id).unwrap();
    assert_eq!(value.as_deref(), Some(&*large));
}
