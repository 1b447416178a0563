//! What a process and its children used, as the kernel accounts it.

use std::{fs, time::Duration};

use nix::unistd::{SysconfVar, sysconf};

/// The fields of /proc/PID/stat after the name, which may hold anything.
fn stat(process: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The process and all that descend from it.
pub(crate) fn family(process: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|child| Some((child, stat(child)?.get(1)?.parse().ok()?)))
        .collect();
    let mut family = vec![process];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// CPU time in user and kernel of all of them.
pub(crate) fn cpu(family: &[i32]) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let ticks: u64 = family
        .iter()
        .filter_map(|process| stat(*process))
        .map(|fields| {
            let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            ticks(11) + ticks(12)
        })
        .sum();
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

/// Memory in kB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// VmRSS: what is resident now.
    pub(crate) resident: u64,
    /// VmHWM: the most that ever was.
    pub(crate) peak: u64,
}

/// The sum over all of them; pages that nginx's master shares with its worker count twice.
pub(crate) fn memory(family: &[i32]) -> Memory {
    let mut sum = Memory::default();
    for process in family {
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let kilobytes = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        sum.resident += kilobytes("VmRSS:");
        sum.peak += kilobytes("VmHWM:");
    }
    sum
}
