//! The floors of the step workloads: bare commits, each handed to a writer thread and back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Database;
use super::runs::{Runs, Step};
use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;

/// Between two idle starts, as on the engine's side.
const PAUSE: Duration = Duration::from_millis(3);

/// What the writer thread is asked to commit.
enum Work {
    Start { first: i64, runs: u64, steps: u64 },
    Step(Step),
}

/// The writer thread, seen from the thread that waits for each commit.
struct Writer {
    work: Sender<Work>,
    done: Receiver<Result<()>>,
    commits: u64,
}

impl Writer {
    /// One commit: there and back.
    fn commit(&mut self, work: Work) -> Result<()> {
        self.work.send(work).ok().context("the writer has ended")?;
        self.done.recv().context("the writer has ended")??;
        self.commits += 1;
        Ok(())
    }
}

/// Each run of a number of them one step at a time, all runs in one transaction.
pub fn together(place: &Place, runs: u64, steps: u64) -> Result<Sample> {
    with_writer(place, |writer| {
        let meter = Meter::start(place)?;
        let first = 1;
        writer.commit(Work::Start { first, runs, steps })?;
        for nth in 0..steps {
            let last = nth + 1 == steps;
            writer.commit(Work::Step(Step {
                first,
                runs,
                nth,
                last,
            }))?;
        }
        let commits = Some(writer.commits);
        Ok(Sample {
            commits,
            ..meter.stop(runs * steps)
        })
    })
}

/// A start and a step with its run's completion, one after the other, on an idle machine.
pub fn latency(place: &Place, runs: u64) -> Result<Sample> {
    with_writer(place, |writer| {
        let meter = Meter::start(place)?;
        let mut times = Vec::new();
        for run in 0..runs {
            std::thread::sleep(PAUSE);
            let begun = Instant::now();
            let first = run as i64 + 1;
            writer.commit(Work::Start {
                first,
                runs: 1,
                steps: 1,
            })?;
            let (nth, last) = (0, true);
            writer.commit(Work::Step(Step {
                first,
                runs: 1,
                nth,
                last,
            }))?;
            times.push(begun.elapsed());
        }
        let commits = Some(writer.commits);
        Ok(Sample {
            commits,
            ..meter.stop_each(&times)
        })
    })
}

fn with_writer(
    place: &Place,
    measure: impl FnOnce(&mut Writer) -> Result<Sample>,
) -> Result<Sample> {
    let (work, orders) = channel();
    let (answers, done) = channel();
    let writer = match place {
        Place::File(path) => {
            let database = Database::create(path)?;
            std::thread::spawn(move || on_file(&database, &orders, &answers))
        }
        #[cfg(feature = "postgres")]
        Place::Schema(url) => {
            let mut session = super::postgres::Session::create(url)?;
            std::thread::spawn(move || on_server(&mut session, &orders, &answers))
        }
    };
    let mut handle = Writer {
        work,
        done,
        commits: 0,
    };
    let sample = measure(&mut handle)?;
    drop(handle);
    writer.join().ok().context("the writer panicked")??;
    Ok(sample)
}

fn on_file(
    database: &Database,
    orders: &Receiver<Work>,
    answers: &Sender<Result<()>>,
) -> Result<()> {
    let mut runs = Runs::prepare(database)?;
    serve(orders, answers, |work| match work {
        Work::Start {
            first,
            runs: count,
            steps,
        } => runs.start(first, count, steps),
        Work::Step(step) => runs.step(step),
    });
    drop(runs);
    database.retire()
}

#[cfg(feature = "postgres")]
fn on_server(
    session: &mut super::postgres::Session,
    orders: &Receiver<Work>,
    answers: &Sender<Result<()>>,
) -> Result<()> {
    use super::postgres::runs;
    serve(orders, answers, |work| match work {
        Work::Start {
            first,
            runs: count,
            steps,
        } => runs::start(session, first, count, steps),
        Work::Step(step) => runs::step(session, &step),
    });
    session.retire()
}

fn serve(
    orders: &Receiver<Work>,
    answers: &Sender<Result<()>>,
    mut commit: impl FnMut(Work) -> Result<()>,
) {
    for work in orders {
        if answers.send(commit(work)).is_err() {
            break;
        }
    }
}
