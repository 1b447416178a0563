//! What is around a proxy for one scenario: its ports, its hosts, its collector.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use regex::{Captures, Regex};
use serde_yaml::Value;
use tokio::net::UdpSocket;

use crate::{
    bootstrap,
    collector::Daemon,
    free_port::FreePort,
    load,
    scenario::{Scenario, Spec, UpstreamSpec},
    upstream::Host,
};

/// One scenario on one side.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) index: usize,
    /// With all placeholders filled in.
    pub(crate) spec: Spec,
    /// What the scenario's own text says, where ids may be literal.
    pub(crate) literal: String,
    pub(crate) listeners: BTreeMap<String, FreePort>,
    pub(crate) hosts: BTreeMap<String, Host>,
    down: BTreeMap<String, FreePort>,
    pub(crate) daemon: Daemon,
    pub(crate) access_log: PathBuf,
}

impl World {
    pub(crate) async fn new(scenario: &Scenario, folder: &Path) -> Result<Self, String> {
        let spec = &scenario.spec;
        let listeners = spec.listeners.keys().map(|name| (name.clone(), FreePort::new())).collect();
        let mut hosts = BTreeMap::new();
        let mut down = BTreeMap::new();
        let collector = spec.collector.clone().unwrap_or_default();
        let all = spec.upstreams.iter().map(|(name, spec)| (name.as_str(), spec));
        for (name, upstream) in all.chain([("collector", &collector)]) {
            if upstream.down {
                down.insert(name.to_owned(), FreePort::new());
            } else {
                hosts.insert(name.to_owned(), Host::bind().await);
            }
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let mut world = Self {
            index: scenario.index,
            spec: spec.clone(),
            literal: serde_yaml::to_string(&scenario.raw).unwrap_or_default(),
            listeners,
            hosts,
            down,
            daemon: Daemon::new(socket),
            access_log: folder.join(format!("access-{}.log", scenario.index)),
        };
        let filled = world.fill(&scenario.raw)?;
        world.spec = load::spec(&filled)?;
        world.serve();
        Ok(world)
    }

    /// Let the hosts answer as the scenario says.
    fn serve(&mut self) {
        for (name, host) in &mut self.hosts {
            let default = UpstreamSpec::default();
            match self.spec.upstreams.get(name) {
                Some(spec) => host.serve(spec.clone(), false),
                None => host.serve(self.spec.collector.clone().unwrap_or(default), true),
            }
        }
    }

    /// A name that no other scenario of the file has.
    pub(crate) fn unique(&self, name: &str) -> String {
        format!("{name}-{}", self.index)
    }

    /// Where a listener, an upstream or the collector is.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let listener = self.listeners.get(name).or_else(|| self.down.get(name)).map(|port| port.address);
        listener.unwrap_or_else(|| self.hosts[name].address)
    }

    /// How many requests its hosts have seen.
    pub(crate) fn arrived(&self) -> usize {
        let upstreams = self.hosts.iter().filter(|(name, _)| *name != "collector");
        upstreams.map(|(_, host)| host.received.count()).sum()
    }

    /// Whether the scenario speaks of this, not only of its port.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.literal.contains(&format!("${{{name}}}"))
    }

    /// The ports and whose they are.
    pub(crate) fn ports(&self) -> Vec<(u16, String)> {
        let free = self.listeners.iter().chain(&self.down).map(|(name, port)| (port.port(), name.clone()));
        let hosts = self.hosts.iter().map(|(name, host)| (host.address.port(), name.clone()));
        free.chain(hosts).chain([(self.daemon.port, "daemon".to_owned())]).collect()
    }

    /// The bootstrap or text of this scenario alone.
    pub(crate) fn fill_text(&self, text: &str) -> Result<String, String> {
        let value = self.fill_string(text)?;
        Ok(value.as_str().map(str::to_owned).unwrap_or_else(|| text.to_owned()))
    }

    fn fill(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.fill_string(text)?,
            Value::Sequence(list) => {
                Value::Sequence(list.iter().map(|value| self.fill(value)).collect::<Result<_, _>>()?)
            }
            Value::Mapping(mapping) => {
                let fill = |(key, value): (&Value, &Value)| Ok((self.fill(key)?, self.fill(value)?));
                Value::Mapping(mapping.iter().map(fill).collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }

    /// A placeholder alone gives a value of its own type.
    fn fill_string(&self, text: &str) -> Result<Value, String> {
        if !text.contains("${") {
            return Ok(text.into());
        }
        let placeholder = Regex::new(r"\$\{([^}]*)\}").unwrap();
        if let Some(found) = placeholder.captures(text)
            && found[0].len() == text.len()
        {
            return self.placeholder(&found[1]);
        }
        let mut wrong = None;
        let filled =
            placeholder.replace_all(text, |found: &Captures<'_>| match self.placeholder(&found[1]) {
                Ok(Value::String(text)) => text,
                Ok(value) => value.as_u64().unwrap_or_default().to_string(),
                Err(error) => {
                    wrong = Some(error);
                    String::new()
                }
            });
        wrong.map_or_else(|| Ok(filled.as_ref().into()), Err)
    }

    fn placeholder(&self, name: &str) -> Result<Value, String> {
        if name == "daemon.port" {
            return Ok(self.daemon.port.into());
        }
        if name == "collector.http" {
            return Ok(self.unique("collector-http").into());
        }
        let (known, is_port) = match name.strip_suffix(".port") {
            Some(known) => (known, true),
            None => (name, false),
        };
        let there = self.listeners.contains_key(known)
            || self.hosts.contains_key(known)
            || self.down.contains_key(known);
        match there {
            true if is_port => Ok(self.address(known).port().into()),
            true => Ok(self.unique(known).into()),
            false => Err(format!("nothing is called ${{{name}}}")),
        }
    }

    /// The names that were made unique, with what they stand for.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        let names =
            self.listeners.keys().chain(self.hosts.keys()).chain(self.down.keys()).map(String::as_str);
        names.chain(["collector-http"]).map(|name| (self.unique(name), name.to_owned())).collect()
    }
}

/// The bootstrap of one scenario alone, as JSON.
pub(crate) fn alone(world: &World, over: &Value) -> String {
    to_json(&bootstrap::bootstrap(&[world], over, None))
}

/// JSON leaves no doubt about what is a string.
pub(crate) fn to_json(bootstrap: &Value) -> String {
    serde_json::to_string_pretty(bootstrap).unwrap()
}
