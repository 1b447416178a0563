//! What `spanway sandbox` prints once everyone listens.

use std::{fmt, time::Duration};

use super::{
    addresses::{AddressError, Addresses},
    configuration::Source,
    topology::{Role, Topology},
};

/// The table of who listens where, and what to do next.
pub(super) struct Banner<'a> {
    /// Who takes part.
    pub(super) topology: &'static Topology,
    /// Where they are.
    pub(super) addresses: &'a Addresses,
    /// Where the proxies' YAML is from.
    pub(super) source: &'a Source,
    /// How long it took until all of them listened.
    pub(super) ready_after: Duration,
}

impl Banner<'_> {
    /// Everything, for a user who goes on by hand.
    pub(super) fn with_next_steps(&self) -> Result<String, AddressError> {
        let entrance = self.addresses.resolve(self.topology.entrance)?.port();
        let pages = self.addresses.resolve(self.topology.pages)?.port();
        let mut text = format!("{self}\n\nSend requests:\n");
        for request in self.topology.requests {
            text.push_str(&format!("  curl localhost:{entrance}{}\n", request.path));
        }
        text.push_str(&format!("See their traces:\n  http://localhost:{pages}/\n\nCtrl-C ends it all."));
        Ok(text)
    }

    /// The table: what a proxy is told by `--map-address` is that the second column stands for the
    /// third (its own YAML) or the fourth (the YAML of the others).
    fn rows(&self) -> Vec<[String; 5]> {
        let header = ["WHO", "LISTENS ON", "IN ITS YAML", "IN THE OTHERS'", ""].map(str::to_owned);
        let mut rows = vec![header];
        let mut previous = "";
        for seat in self.addresses.seats() {
            let name = seat.member.name;
            let is_proxy = matches!(seat.member.role, Role::Proxy { .. });
            let is_called =
                self.topology.members.iter().any(|other| other.calls.contains(&&*seat.host_name()));
            rows.push([
                if name == previous { String::new() } else { name.to_owned() },
                seat.address.to_string(),
                if is_proxy { seat.own_name() } else { String::new() },
                if is_called { seat.host_name() } else { String::new() },
                seat.place.purpose.to_owned(),
            ]);
            previous = name;
        }
        rows
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topology, source, ready_after, .. } = self;
        writeln!(f, "Sandbox {} is ready after {ready_after:.0?}. Its YAML: {source}.", topology.name)?;
        writeln!(f, "Each address of the YAML is mapped to one on loopback (--map-address):")?;
        for [who, listens_on, own, others, purpose] in self.rows() {
            let row = format!("  {who:<18} {listens_on:<16} {own:<14} {others:<19} {purpose}");
            write!(f, "\n{}", row.trim_end())?;
        }
        Ok(())
    }
}
