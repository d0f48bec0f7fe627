//! The floor of the fan-out: per child its row, its claim, its step's record and its completion.
//!
//! As on SQLite, one transaction a batch completes one batch of children and inserts the next. With two writers
//! the second one completes half of each batch; they meet at the branch's counter, which is written last.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result, ensure};

use super::session::{Session, Value, now};
use super::statements as sql;
use crate::floor::fanout::Shape;
use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;

/// The parent's id: it is the first run.
const PARENT: i64 = 1;

/// From the parent's start to its completion. Sessions outlive the measurement: a session that has ended tells no
/// processor time.
pub fn measure(place: &Place, url: &str, shape: &Shape) -> Result<Sample> {
    let mut first = Session::create(url)?;
    let helpers: Vec<Session> = (1..shape.writers)
        .map(|_| Session::join(url))
        .collect::<Result<_>>()?;
    let meter = Meter::start(place)?;
    let (commits, helpers) = fan_out(&mut first, helpers, shape)?;
    let mut sample = meter.stop(shape.children);
    drop(helpers);
    sample.commits = Some(commits);
    first.retire()?;
    Ok(sample)
}

/// What a helper is asked to complete.
struct Order {
    branch: i64,
    children: Range<u64>,
}

fn fan_out(
    session: &mut Session,
    helpers: Vec<Session>,
    shape: &Shape,
) -> Result<(u64, Vec<Session>)> {
    let writers = helpers.len() as u64 + 1;
    let (done, counted) = channel();
    std::thread::scope(|scope| {
        let mut orders: Vec<Sender<Order>> = Vec::new();
        for helper in helpers {
            let (give, take) = channel();
            let done = done.clone();
            orders.push(give);
            scope.spawn(move || done.send(help(helper, &take)));
        }
        let mut commits = lead(session, &orders, shape, writers)?;
        drop((orders, done));
        let mut helpers = Vec::new();
        for helped in counted {
            let (session, helped) = helped?;
            helpers.push(session);
            commits += helped;
        }
        finish(session, shape)?;
        Ok((commits + 3, helpers))
    })
}

/// A helper's transactions, each one order.
fn help(mut session: Session, orders: &Receiver<Order>) -> Result<(Session, u64)> {
    let mut commits = 0;
    for order in orders {
        session.transaction(|session| {
            complete(session, order.children.clone())?;
            count(session, order.branch, &order.children)
        })?;
        commits += 1;
    }
    Ok((session, commits))
}

fn lead(
    session: &mut Session,
    orders: &[Sender<Order>],
    shape: &Shape,
    writers: u64,
) -> Result<u64> {
    start(session, shape.children)?;
    let batches = shape.children.div_ceil(shape.batch);
    let lag = if shape.claimed { 1 } else { 2 };
    let mut commits = 1;
    let mut branch = 0;
    for turn in 0..batches + lag {
        let done = turn.checked_sub(lag).map_or(0..0, |nth| shape.nth(nth));
        session.transaction(|session| {
            let own = part(done.clone(), 0, writers);
            take_turn(session, shape, (turn, batches), &mut branch, own)
        })?;
        commits += 1;
        if !shape.claimed && (1..=batches).contains(&turn) {
            claim(session, shape.nth(turn - 1))?;
            commits += 1;
        }
        for (nth, order) in (1..).zip(orders) {
            let children = part(done.clone(), nth, writers);
            if !children.is_empty() {
                order
                    .send(Order { branch, children })
                    .ok()
                    .context("a helper has ended")?;
            }
        }
    }
    Ok(commits)
}

/// One of the leader's transactions: inserts a batch, and completes its part of one that was inserted before.
fn take_turn(
    session: &mut Session,
    shape: &Shape,
    (turn, batches): (u64, u64),
    branch: &mut i64,
    own: Range<u64>,
) -> Result<()> {
    if turn <= batches {
        let parent = [Value::Ints(vec![PARENT]), Value::Int(session.worker)];
        let held = session.number(sql::HOLD, &parent)?;
        ensure!(held == 1, "the parent is lost");
    }
    if turn == 0 {
        *branch = session.number(sql::BRANCH, &[Value::Int(PARENT), at()])?;
    }
    let mut added = 0;
    if turn < batches {
        added = insert(session, *branch, shape.nth(turn), shape.claimed)?;
    }
    if !own.is_empty() {
        complete(session, own.clone())?;
    }
    if turn + 1 == batches {
        let value = format!(
            r#"{{"branch":"all","spawn":"child","len":{}}}"#,
            shape.children
        );
        let seal = [at(), at(), Value::Text(value), Value::Int(*branch)];
        session.execute(sql::SEAL, &seal)?;
    }
    if turn == batches {
        session.execute(sql::PARK, &[at(), Value::Int(PARENT)])?;
    }
    if added == 0 {
        return count(session, *branch, &own);
    }
    let cursor = format!(
        r#"{{"cursors":{{"child":{{"n":{}}}}}}}"#,
        shape.nth(turn).end
    );
    let done = (own.end - own.start) as i64;
    let numbers = [*branch, added, done].map(Value::Int);
    let values: Vec<Value> = numbers.into_iter().chain([Value::Text(cursor)]).collect();
    session.number(sql::RAISE, &values).map(drop)
}

fn at() -> Value {
    Value::Instant(now())
}

/// A writer's part of a batch.
fn part(batch: Range<u64>, nth: u64, writers: u64) -> Range<u64> {
    let share = (batch.end - batch.start).div_ceil(writers);
    let first = (batch.start + nth * share).min(batch.end);
    first..(first + share).min(batch.end)
}

fn ids(children: &Range<u64>) -> Vec<i64> {
    children.clone().map(|n| n as i64 + PARENT + 1).collect()
}

fn start(session: &mut Session, children: u64) -> Result<()> {
    let values = [
        Value::Text("parent".into()),
        Value::Text(format!(r#"{{"children":{children}}}"#)),
        Value::Int(session.worker),
        Value::Ints(vec![PARENT]),
        Value::Texts(vec!["p".into()]),
        at(),
        Value::Int(session.worker),
    ];
    session.execute(sql::START, &values).map(drop)
}

fn insert(session: &mut Session, branch: i64, children: Range<u64>, claimed: bool) -> Result<i64> {
    let level = |child: u64| match child {
        0..100 => 4,
        100..10_000 => 7,
        _ => 10,
    };
    let values = [
        Value::Ints(ids(&children)),
        Value::Texts(
            children
                .clone()
                .map(|n| format!("p$all$child${n}"))
                .collect(),
        ),
        Value::Ints(children.clone().map(level).collect()),
        Value::Texts(
            children
                .clone()
                .map(|n| format!(r#"{{"n":{n}}}"#))
                .collect(),
        ),
        Value::Int(branch),
        at(),
        Value::Int(session.worker),
    ];
    if !claimed {
        let inserted = session.execute(sql::INSERT_IDLE, &values[..6])?;
        return Ok(inserted as i64);
    }
    let inserted = session.execute(sql::INSERT_CHILDREN, &values)?;
    let claims = [Value::Int(session.worker), Value::Ints(ids(&children))];
    session.execute(sql::CLAIMS, &claims)?;
    Ok(inserted as i64)
}

/// Claims children that were inserted idle, in a transaction of its own.
fn claim(session: &mut Session, children: Range<u64>) -> Result<()> {
    let values = [
        Value::Int(session.worker),
        at(),
        Value::Ints(ids(&children)),
        Value::Int(session.worker),
    ];
    session.execute(sql::CLAIM_CHILDREN, &values).map(drop)
}

/// Writes the step's record and the completion of each.
fn complete(session: &mut Session, children: Range<u64>) -> Result<()> {
    let doubled = || Value::Texts(children.clone().map(|n| (n * 2).to_string()).collect());
    let ids = ids(&children);
    let wanted = ids.len();
    let completion = [
        Value::Ints(ids.clone()),
        doubled(),
        at(),
        Value::Int(session.worker),
    ];
    let completed = session.execute(sql::COMPLETE, &completion)?;
    ensure!(completed == wanted, "{completed} of {wanted} fences hold");
    let name = Value::Text("step$double".into());
    let record = [Value::Ints(ids), doubled(), name, Value::Int(1), at()];
    session.execute(sql::RECORD, &record)?;
    Ok(())
}

fn count(session: &mut Session, branch: i64, done: &Range<u64>) -> Result<()> {
    let done = (done.end - done.start) as i64;
    let change = [branch, 0, done].map(Value::Int);
    session.number(sql::COUNT, &change).map(drop)
}

/// The last child makes the parent due, which is claimed and completes.
fn finish(session: &mut Session, shape: &Shape) -> Result<()> {
    session.execute(sql::ROUSE, &[at(), at(), Value::Int(PARENT)])?;
    let worker = session.worker;
    let take = [
        Value::Int(worker),
        at(),
        Value::Int(PARENT),
        Value::Int(worker),
    ];
    session.execute(sql::TAKE, &take)?;
    let total = shape.children.to_string();
    let done = [
        Value::Text(total),
        at(),
        Value::Int(PARENT),
        Value::Int(worker),
    ];
    let written = session.execute(sql::MERGE, &done)?;
    ensure!(written == 1, "the parent is lost");
    Ok(())
}
