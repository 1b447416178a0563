//! Programs that are started, and that none of them outlives the run.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, killpg},
        wait::waitpid,
    },
    unistd::Pid,
};

use crate::cores;

/// How long a program may take to end by itself.
const GRACE: Duration = Duration::from_millis(800);

/// What must be gone when the run ends, however it ends.
struct Leftovers {
    groups: Vec<Pid>,
    folder: Option<PathBuf>,
}

static LEFTOVERS: Mutex<Leftovers> = Mutex::new(Leftovers { groups: Vec::new(), folder: None });

fn leftovers() -> MutexGuard<'static, Leftovers> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program with its children, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
}

impl Process {
    /// Starts `command` on `cores`, in a process group of its own: a Ctrl-C reaches it only through us, and one signal
    /// reaches all of its workers.
    pub(crate) fn start(command: &mut Command, cores: &[usize]) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        // Held while starting, so that nothing starts while everything is being ended.
        let mut leftovers = leftovers();
        let child = cores::pinned(cores, || command.stdin(Stdio::null()).process_group(0).spawn())?
            .map_err(|error| format!("{name}: {error}"))?;
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
        leftovers.groups.push(group);
        Ok(Self { child, group })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> i32 {
        self.group.as_raw()
    }

    /// Whether it has ended, and if so whether well.
    pub(crate) fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().ok().flatten().map(|status| status.success())
    }

    fn wait(&mut self, limit: Duration) -> Option<bool> {
        let until = Instant::now() + limit;
        loop {
            match self.ended() {
                None if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
                ended => return ended,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = killpg(self.group, Signal::SIGTERM);
            self.wait(GRACE);
        }
        // Workers whose master is gone, or all of it when it does not listen.
        let _ = killpg(self.group, Signal::SIGKILL);
        self.wait(GRACE);
        leftovers().groups.retain(|group| *group != self.group);
    }
}

/// Runs a program to its end, at most for `limit`; what it printed.
pub(crate) fn run(command: &mut Command, cores: &[usize], limit: Duration) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut process = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()), cores)?;
    let (out, err) = (process.child.stdout.take(), process.child.stderr.take());
    let reading = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = reading(out.map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let err = reading(err.map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let ended = process.wait(limit);
    drop(process);
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    match ended {
        Some(true) => Ok(out),
        Some(false) => Err(format!("{name}: {}", err.lines().last().unwrap_or("failed"))),
        None => Err(format!("{name} did not end within {limit:?}")),
    }
}

/// The folder that is removed with everything else.
pub(crate) fn remove_at_end(folder: PathBuf) {
    leftovers().folder = Some(folder);
}

/// Ends all that runs and removes the folder; the lock stays held, so that nothing is started any more.
fn sweep() -> MutexGuard<'static, Leftovers> {
    let leftovers = leftovers();
    for group in &leftovers.groups {
        let _ = killpg(*group, Signal::SIGTERM);
    }
    if !leftovers.groups.is_empty() {
        thread::sleep(GRACE / 2);
    }
    for group in &leftovers.groups {
        let _ = killpg(*group, Signal::SIGKILL);
        // It is gone by now or in a moment; not even its entry in the process table stays.
        let _ = waitpid(*group, None);
    }
    if let Some(folder) = &leftovers.folder {
        let _ = std::fs::remove_dir_all(folder);
    }
    leftovers
}

/// Watches, in a thread of its own, for signals that end the run, and for its time limit.
pub(crate) fn watch(limit: Duration) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("runtime: {error}"))?;
    thread::spawn(move || {
        let reason = runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
                signal(SignalKind::hangup()),
            ) else {
                return "no signals";
            };
            tokio::select! {
                _ = interrupt.recv() => "interrupted",
                _ = terminate.recv() => "terminated",
                _ = hangup.recv() => "the terminal is gone",
                () = tokio::time::sleep(limit) => "over the time limit (--limit)",
            }
        });
        let _nothing_starts = sweep();
        eprintln!("peers: {reason}");
        std::process::exit(130);
    });
    Ok(())
}

/// The end of a run that was not interrupted.
pub(crate) fn finish() {
    drop(sweep());
}
