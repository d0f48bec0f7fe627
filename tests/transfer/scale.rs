//! A hundred thousand runs, and how much memory that takes.
#![allow(clippy::print_stdout, reason = "who asks for figures reads them")]

use std::io::{BufReader, Write};
use std::time::Instant;

use chrono_forge::Forge;
use chrono_forge_tests::backend::Backend;

use crate::ground::Ground;

/// The most memory that this process held, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let figure = line.and_then(|line| line.split_whitespace().nth(1));
    figure.unwrap().parse().unwrap()
}

/// A file of one parent and so many completed children, of one record each.
fn write_file(runs: u64) -> std::fs::File {
    let mut file = std::io::BufWriter::new(tempfile::tempfile().unwrap());
    let rest = "\"queue\":\"default\",\"level\":3,\"epoch\":1,\"attempts\":0,\"crashes\":0,\
                \"created_at\":1,\"retry_counts\":\"{}\",\"options\":\"{}\",\"context\":\"{}\"";
    let header = "{\"chrono_forge\":\"export\",\"version\":1";
    writeln!(file, "{header},\"id\":\"{runs}\",\"exported_at\":1}}").unwrap();
    let parent = "\"workflow\":\"order\",\"key\":\"o\",\"state\":\"idle\",\"args\":\"{}\"";
    writeln!(file, "{{\"run\":{{{parent},{rest}}}}}").unwrap();
    let branch = "\"name\":\"branch$items\",\"state\":\"completed\",\"attempts\":1";
    let counts = format!("\"spawned\":{runs},\"pending\":0");
    writeln!(file, "{{\"record\":{{{branch},{counts}}}}}").unwrap();
    let parent = "{\"workflow\":\"order\",\"key\":\"o\",\"record\":\"branch$items\"}";
    for n in 0..runs {
        let name =
            format!("\"workflow\":\"item\",\"key\":\"o$items$item${n}\",\"parent\":{parent}");
        let state =
            format!("\"state\":\"completed\",\"args\":\"{{\\\"n\\\":{n}}}\",\"output\":\"{n}\"");
        writeln!(file, "{{\"run\":{{{name},{state},{rest}}}}}").unwrap();
        let record = "\"name\":\"step$pick\",\"seq\":1,\"state\":\"completed\",\"attempts\":1";
        writeln!(file, "{{\"record\":{{{record},\"result\":\"{n}\"}}}}").unwrap();
    }
    let totals = format!("\"runs\":{0},\"records\":{0},\"errors\":0", runs + 1);
    writeln!(file, "{{\"end\":{{{totals}}}}}").unwrap();
    file.into_inner().unwrap()
}

/// Counts what it is given.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0 += text.len() as u64;
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn there_and_back(client: &Forge, runs: u64) {
    let mut file = write_file(runs);
    std::io::Seek::rewind(&mut file).unwrap();
    let begun = Instant::now();
    let imported = client.import(BufReader::new(file)).await.unwrap();
    assert_eq!(imported.runs, runs + 1);
    let (import, begun) = (begun.elapsed(), Instant::now());
    let mut file = Counted(0);
    let exported = client.export(&mut file).await.unwrap();
    assert_eq!(exported.runs, runs + 1);
    println!(
        "{runs} runs, {} bytes: imported in {import:?}, exported in {:?}, peak {} KiB",
        file.0,
        begun.elapsed(),
        peak()
    );
}

async fn flat(backend: Backend) {
    let ground = Ground::new(backend);
    let (few, many) = (ground.place(), ground.place());
    there_and_back(&ground.client(&few).await, 5_000).await;
    let before = peak();
    there_and_back(&ground.client(&many).await, 100_000).await;
    let grown = peak() - before;
    assert!(grown < 16 << 10, "grew by {grown} KiB");
}

#[tokio::test]
#[ignore = "measures the memory of its process: run it alone"]
async fn memory_stays_flat_with_a_hundred_thousand_runs_on_sqlite() {
    flat(Backend::Sqlite).await;
}

#[tokio::test]
#[ignore = "measures the memory of its process: run it alone, with a server"]
async fn memory_stays_flat_with_a_hundred_thousand_runs_on_postgres() {
    flat(Backend::Postgres).await;
}
