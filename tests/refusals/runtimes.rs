//! The runtime that an engine is opened on: one that cannot carry it is refused, one that has ended is told.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use chrono_forge::Error;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, play, scenario};
use tokio::runtime::{Builder, Runtime};

use super::healthy;

/// Far below the grace, which nothing here may wait for.
const PATIENCE: Duration = Duration::from_secs(15);

const FOREVER: Duration = Duration::from_secs(3_600);

fn knob_of(refused: Result<Forge, Error>) -> (&'static str, String) {
    match refused {
        Err(Error::Config { knob, problem }) => (knob, problem),
        other => panic!("{other:?}"),
    }
}

/// An executor that knows nothing of tokio.
fn without_tokio<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn off_the_runtime<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

#[scenario]
async fn an_engine_is_opened_on_a_runtime_that_has_timers(world: &World) {
    let open = || world.builder([healthy::NAME]).open();
    let outside = off_the_runtime(|| without_tokio(open()));
    let (knob, problem) = knob_of(outside);
    assert!(knob == "runtime" && problem.contains("tokio"), "{problem}");
    let without_timers = off_the_runtime(|| {
        let runtime = Builder::new_multi_thread().worker_threads(1).build();
        runtime.unwrap().block_on(open())
    });
    let (knob, problem) = knob_of(without_timers);
    assert!(
        knob == "runtime" && problem.contains("enable_all"),
        "{problem}"
    );
    assert!(world.is_untouched(), "nothing was opened");
}

/// On a runtime whose clock stands, as `#[tokio::test(start_paused = true)]` has it.
fn with_a_paused_clock<T>(work: impl Future<Output = T> + Send) -> T
where
    T: Send,
{
    off_the_runtime(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(work)
    })
}

#[scenario]
async fn a_worker_is_not_opened_under_tokios_paused_clock(world: &World) {
    let refused = with_a_paused_clock(world.builder([healthy::NAME]).open());
    let (knob, problem) = knob_of(refused);
    assert!(knob == "runtime", "{problem}");
    for word in ["start_paused", "ManualClock::skipping()"] {
        assert!(problem.contains(word), "{problem}");
    }
    assert!(world.is_untouched(), "nothing was opened");
    // One that only starts runs has nothing to wait for.
    let nothing: [&str; 0] = [];
    with_a_paused_clock(async {
        let client = world.builder(nothing).worker(false).open().await.unwrap();
        client.start("k", healthy()).await.unwrap();
        client.shutdown().await;
    });
    let forge = world.forge([healthy::NAME]).await;
    forge.settled().await.unwrap();
    assert_eq!(world.rows().run("k").state, COMPLETED);
}

#[scenario(threads = 2)]
async fn calls_are_answered_on_any_executor(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    let elsewhere = async {
        let run = forge.start("k", healthy()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        assert!(forge.get::<healthy>("k").await.unwrap().is_some());
        forge.shutdown().await;
    };
    off_the_runtime(|| without_tokio(elsewhere));
}

#[workflow]
async fn held_up(probe: State<Probe>) -> Result<u32> {
    Ok(step!("one", {
        probe.note("one");
        probe.raised("one").await;
        Ok(1_u32)
    })
    .await?)
}

fn own_runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn says_so(error: &Error) -> bool {
    error.to_string().contains("runtime")
}

/// What each call that may fail says, by name.
async fn every_answer(world: &World, forge: &Forge, run: &Run<u32>) -> Vec<(&'static str, String)> {
    let mut answers = Vec::new();
    macro_rules! ask {
        ($($name:literal: $call:expr),* $(,)?) => {$(
            let answer = match $call.await {
                Ok(_) => "it was done".to_owned(),
                Err(error) => error.to_string(),
            };
            answers.push(($name, answer));
        )*};
    }
    let copy = world.dir().join("copy.db");
    ask! {
        "start": forge.start("late", held_up()),
        "start_all": forge.start_all([("late", held_up())]),
        "get": forge.get::<held_up>("k"),
        "by_id": forge.by_id::<held_up>(run.id()),
        "wake": forge.wake::<held_up>("k"),
        "retry": forge.retry::<held_up>("k"),
        "retry_all": forge.retry_all(RetryFilter::new().workflow(held_up::NAME)),
        "unlock": forge.unlock::<held_up>("k"),
        "reset_crashes": forge.reset_crashes::<held_up>("k"),
        "unserved": forge.unserved(10),
        "export": forge.export(&mut Vec::new()).while_running(),
        "backup": forge.backup(&copy),
        "settled": forge.settled(),
        "serve": forge.serve(),
        "Run::result": run.result(),
        "Run::state": run.state(),
        "Run::context": run.context(),
        "Run::operations": run.operations(),
        "Run::blocked_children": run.blocked_children(),
        "Run::blocked_descendants": run.blocked_descendants(),
        "Run::child": run.child::<held_up>("b", "s"),
        "Run::branches": run.branches(),
        "Run::audit": run.audit(),
        "Run::wake": run.wake(),
        "Run::retry": run.retry(),
        "Run::unlock": run.unlock(),
        "Run::reset_crashes": run.reset_crashes(),
    }
    answers
}

async fn on_a_runtime_that_ends(world: &World, worker: bool) {
    let builder = world.builder([held_up::NAME]).worker(worker);
    let builder = builder.shutdown_grace(FOREVER);
    let (forge, run) = off_the_runtime(|| {
        let runtime = own_runtime();
        let begun = runtime.block_on(async {
            let forge = builder.open().await.unwrap();
            let run = forge.start("k", held_up()).await.unwrap();
            if worker {
                world.noted("one", 1).await;
            }
            (forge, run)
        });
        drop(runtime);
        begun
    });
    let told = async {
        for (call, answer) in every_answer(world, &forge, &run).await {
            let says_so = answer == Error::RuntimeGone.to_string();
            assert!(says_so, "{call}: {answer}");
        }
        forge.shutdown().await;
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    assert!(told.is_ok(), "whoever calls such an engine is answered");
    let live = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";
    assert_eq!(world.rows().number(live), 0);
    // Others go on at once.
    let other = world.forge([held_up::NAME]).await;
    world.probe.set("one", 1);
    let run = other.get::<held_up>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
}

#[scenario(threads = 2)]
async fn a_worker_whose_runtime_has_ended_says_so_and_leaves_its_runs_to_others(world: &World) {
    on_a_runtime_that_ends(world, true).await;
}

#[scenario(threads = 2)]
async fn a_client_whose_runtime_has_ended_says_so(world: &World) {
    on_a_runtime_that_ends(world, false).await;
}

#[scenario(threads = 2)]
async fn a_result_that_is_awaited_elsewhere_ends_with_the_runtime(world: &World) {
    let builder = world.builder([held_up::NAME]).shutdown_grace(FOREVER);
    let (hand, take) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let runtime = own_runtime();
            let begun = runtime.block_on(async {
                let forge = builder.open().await.unwrap();
                forge.start("k", held_up()).await.unwrap()
            });
            hand.send(begun).unwrap();
            ended.recv().unwrap();
        });
        let run = take.recv().unwrap();
        let waiting = scope.spawn(move || without_tokio(run.result()));
        std::thread::sleep(Duration::from_millis(50));
        end.send(()).unwrap();
        let result: Result<u32, RunError> = waiting.join().unwrap();
        let error = result.unwrap_err();
        assert!(
            matches!(&error, RunError::Forge(error) if says_so(error)),
            "{error:?}"
        );
    });
}

/// A runtime of one thread that nobody drives: its tasks are there, and do nothing.
#[test]
fn a_runtime_that_nobody_drives_any_more_does_not_keep_a_shutdown() {
    play(Backend::Sqlite, 2, async |world| {
        let builder = world.builder([held_up::NAME]);
        let builder = builder.shutdown_grace(Duration::from_millis(50));
        let (forge, runtime) = off_the_runtime(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let forge = runtime.block_on(async {
                let forge = builder.open().await.unwrap();
                forge.start("k", held_up()).await.unwrap();
                world.noted("one", 1).await;
                forge
            });
            (forge, runtime)
        });
        let ended = tokio::time::timeout(PATIENCE, forge.shutdown()).await;
        assert!(
            ended.is_ok(),
            "the shutdown waits for a task that nobody polls"
        );
        let held = "SELECT count(*) FROM chrono_forge_workflows WHERE locked_by IS NOT NULL";
        assert_eq!(world.rows().number(held), 0);
        off_the_runtime(move || drop((forge, runtime)));
    });
}
