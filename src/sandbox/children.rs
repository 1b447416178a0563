//! The processes of a sandbox: started together, watched, and ended together.

use std::{
    ffi::OsString,
    fmt, io,
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    leash,
    output::{self, LastLines},
};

/// How long a child has between SIGTERM and SIGKILL.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// How long the pipes of a child that has ended may stay open (a grandchild may hold them).
const PIPE_DEADLINE: Duration = Duration::from_millis(200);

/// All children of a sandbox. Dropping it kills those that still run.
#[derive(Debug)]
pub(super) struct Children {
    lives: JoinSet<Exit>,
    stop: watch::Sender<bool>,
    echo: Arc<AtomicBool>,
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Exit {
    /// Who it was.
    pub(super) name: &'static str,
    status: io::Result<ExitStatus>,
    last_lines: LastLines,
}

impl Children {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self { lives: JoinSet::new(), stop: watch::Sender::new(false), echo: Arc::default() }
    }

    /// Start `program` under the name of a member. Its standard error is always followed, its standard
    /// output if that is a pipe.
    pub(super) fn start(
        &mut self,
        name: &'static str,
        program: &Path,
        arguments: Vec<OsString>,
        stdout: Stdio,
    ) -> io::Result<()> {
        let process = Command::new(program)
            .args(arguments)
            .env(leash::VARIABLE, leash::STDIN)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            // Ctrl-C reaches the whole group of the terminal: the children are to hear it from here.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        self.lives.spawn(live(name, process, self.stop.subscribe(), Arc::clone(&self.echo)));
        Ok(())
    }

    /// From now on, show what the children write as they write it.
    pub(super) fn echo(&self) {
        self.echo.store(true, Ordering::Relaxed);
    }

    /// The end of the child that ends first; never, if there is none.
    pub(super) async fn first_exit(&mut self) -> Exit {
        loop {
            match self.lives.join_next().await {
                Some(Ok(exit)) => return exit,
                // A life neither panics nor is cancelled; if it were, the others go on.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// End all that still run: SIGTERM, and SIGKILL for those who do not heed it.
    pub(super) async fn stop(mut self) -> Vec<Exit> {
        self.echo.store(false, Ordering::Relaxed);
        self.stop.send_replace(true);
        let mut exits = Vec::new();
        while let Some(exit) = self.lives.join_next().await {
            exits.extend(exit);
        }
        exits
    }
}

/// One child from its start to its end.
async fn live(
    name: &'static str,
    mut process: Child,
    stop: watch::Receiver<bool>,
    echo: Arc<AtomicBool>,
) -> Exit {
    // Held here since waiting for a child would close it.
    let _leash = process.stdin.take();
    let mut lines = output::follow(process.stdout.take(), process.stderr.take());
    let mut last_lines = LastLines::default();
    let mut keep = |line: String| {
        if echo.load(Ordering::Relaxed) {
            output::show(name, &line);
        }
        last_lines.push(line);
    };

    let mut end = pin!(end(&mut process, stop));
    let status = loop {
        tokio::select! {
            status = &mut end => break status,
            Some(line) = lines.recv() => keep(line),
        }
    };
    // What it wrote last may still be in the pipes.
    let rest = async {
        while let Some(line) = lines.recv().await {
            keep(line);
        }
    };
    let _ = timeout(PIPE_DEADLINE, rest).await;
    Exit { name, status, last_lines }
}

/// Wait until the child ends, by itself or because it is told to.
async fn end(process: &mut Child, mut stop: watch::Receiver<bool>) -> io::Result<ExitStatus> {
    tokio::select! {
        status = process.wait() => return status,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    // The id is there as long as the child was not waited for, so it cannot be another's by now.
    if let Some(pid) = process.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if let Ok(status) = timeout(STOP_DEADLINE, process.wait()).await {
        return status;
    }
    process.kill().await?;
    process.wait().await
}

impl Exit {
    /// Whether it wrote anything.
    pub(super) fn wrote(&self) -> bool {
        !self.last_lines.is_empty()
    }

    /// The last lines it wrote, for a reader.
    pub(super) fn last_lines(&self) -> &LastLines {
        &self.last_lines
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Ok(status) => write!(f, "{} ended: {status}", self.name)?,
            Err(cause) => write!(f, "{} is lost: {cause}", self.name)?,
        }
        if self.wrote() {
            write!(f, "; its last lines:\n{}", self.last_lines)
        } else {
            f.write_str("; it wrote nothing")
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn start(children: &mut Children, name: &'static str, script: &str) {
        let arguments = vec!["-c".into(), script.into()];
        children.start(name, Path::new("/bin/sh"), arguments, Stdio::piped()).unwrap();
    }

    #[tokio::test]
    async fn a_child_that_dies_is_reported_with_its_last_lines() {
        let mut children = Children::new();
        start(&mut children, "steady", "exec sleep 60");
        start(&mut children, "fickle", "echo one; echo two >&2; exit 3");
        let exit = children.first_exit().await;
        let report = exit.to_string();
        assert!(report.starts_with("fickle ended: exit status: 3; its last lines:\n"), "{report}");
        assert!(report.contains("  one\n") || report.ends_with("  one"), "{report}");
        assert!(report.contains("  two"), "{report}");
        let rest = children.stop().await;
        assert_eq!(rest.len(), 1);
        assert!(rest[0].to_string().contains("steady ended: signal: 15"), "{}", rest[0]);
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_at_the_deadline() {
        let mut children = Children::new();
        start(&mut children, "deaf", "trap '' TERM; echo ready; while :; do sleep 0.1; done");
        // Wait for the trap to be set: its line is the sign.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked = Instant::now();
        let exits = children.stop().await;
        assert!(exits[0].to_string().contains("signal: 9"), "{}", exits[0]);
        assert!(asked.elapsed() >= STOP_DEADLINE);
    }

    #[tokio::test]
    async fn standard_input_stays_open_while_the_parent_lives() {
        let mut children = Children::new();
        start(&mut children, "reader", "cat; echo closed");
        let early = timeout(Duration::from_millis(200), children.first_exit()).await;
        assert!(early.is_err(), "{early:?}");
    }
}
