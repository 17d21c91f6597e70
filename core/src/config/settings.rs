//! The settings by name: what `--set`, the environment and the TOML files may say.
//!
//! One row of `NAMES` ties a dotted name to a field of `Config`, its unit and a sentence for help
//! and documents. Names are unique, and each value that is written reads back as the same value.

use super::{Config, MILLISECOND_NS, MemoryMeasure, Policies, SECOND_NS};
use crate::nearest::nearest;
use crate::units::{UnitError, format_bytes, format_duration_ns, parse_bytes, parse_duration_ns};

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A whole number, 0 or more.
    Count,
    /// Bytes, such as `50MB`, `1KiB` or `4096`.
    Bytes,
    /// A duration, such as `30s`, `150ms` or `2` (seconds).
    Duration,
    /// A number above 0, or `inf`.
    Ratio,
    /// A part of a whole, from 0 to 1, or as a percentage.
    Fraction,
    /// `true` or `false`.
    Switch,
    /// Durations by prefix, such as `load=2s,sum=10ms`.
    Durations,
    /// `process`, `optimistic` or `managed`.
    Measure,
    /// Names of policies, or `none`.
    Policies,
}

impl Unit {
    /// How the unit is called in help and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Duration => "duration",
            Self::Ratio => "number or inf",
            Self::Fraction => "0 to 1",
            Self::Switch => "true or false",
            Self::Durations => "PREFIX=duration,…",
            Self::Measure => "process, optimistic or managed",
            Self::Policies => "ReduceReplicas, Rebalance, none",
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Setting {
    /// Dotted name, `scheduler.worker-saturation` for example.
    pub name: &'static str,
    /// What its value looks like.
    pub unit: Unit,
    /// What it does, in one sentence.
    pub sentence: &'static str,
    field: fn(&mut Config) -> Field<'_>,
}

/// A value that a setting does not take, or a setting that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No setting has this name.
    #[error("unknown setting '{name}'")]
    UnknownName {
        /// What was given.
        name: String,
        /// The most similar name.
        nearest: Option<&'static str>,
    },
    /// Dask has it, and here is nothing that it could set.
    #[error("setting '{name}' is not there: {why}")]
    Refused {
        /// The setting.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The setting does not take this value.
    #[error("setting '{name}': '{value}' is not {expected}")]
    BadValue {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// With less a job would stand still or end by itself.
    #[error("setting '{name}': '{value}' is too little, the least is {least}")]
    TooLittle {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it takes at least.
        least: String,
    },
    /// The setting takes a duration or a size.
    #[error("setting '{name}': {source}")]
    BadUnit {
        /// The setting.
        name: &'static str,
        /// What is wrong.
        source: UnitError,
    },
}

impl ConfigError {
    /// The way out, when there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownName { nearest: Some(name), .. } => {
                Some(format!("did you mean '{name}'?"))
            }
            Self::UnknownName { nearest: None, .. } => {
                Some("`rdask-hpc --help-all` lists the settings".to_owned())
            }
            Self::Refused { .. } => Some("leave it out".to_owned()),
            Self::BadValue { .. } | Self::TooLittle { .. } | Self::BadUnit { .. } => None,
        }
    }
}

enum Field<'a> {
    Count(&'a mut u32),
    Length(&'a mut usize),
    Bytes(&'a mut u64),
    Duration(&'a mut u64),
    Ratio(&'a mut f64),
    Fraction(&'a mut f64),
    Switch(&'a mut bool),
    Durations(&'a mut Vec<(String, u64)>),
    Measure(&'a mut MemoryMeasure),
    Policies(&'a mut Policies),
}

macro_rules! settings {
    ($($name:literal $unit:ident $kind:ident $field:ident $sentence:literal)*) => {
        /// Every setting, by name.
        pub const NAMES: &[Setting] = &[$(Setting {
            name: $name,
            unit: Unit::$unit,
            sentence: $sentence,
            field: |config| Field::$kind(&mut config.$field),
        }),*];
    };
}

settings! {
    "log-length" Count Length log_length
        "Transitions that the scheduler keeps for stories."
    "scheduler.active-memory-manager.interval" Duration Duration amm_interval_ns
        "How often the policies of the active memory manager run."
    "scheduler.active-memory-manager.measure" Measure Measure amm_measure
        "What counts as the memory of a worker when copies are placed or dropped."
    "scheduler.active-memory-manager.policies" Policies Policies amm_policies
        "What the active memory manager does by itself."
    "scheduler.active-memory-manager.start" Switch Switch amm_start
        "Runs the policies of the active memory manager; orders are carried out in any case."
    "scheduler.allowed-failures" Count Count allowed_failures
        "Deaths of its worker that a task survives; one more ends it (KilledWorker)."
    "scheduler.bandwidth" Bytes Bytes bandwidth
        "Bytes a second between machines until transfers were measured."
    "scheduler.default-retries" Count Count default_retries
        "Errors that a task survives when its attributes do not say."
    "scheduler.default-task-durations" Durations Durations default_task_durations_ns
        "Durations of prefixes that are known before they ran."
    "scheduler.erred-tasks" Count Length erred_tasks
        "Erred tasks whose errors are kept whole."
    "scheduler.max-reschedules" Count Count max_reschedules
        "Times that a task may give itself back before it errs."
    "scheduler.no-workers-timeout" Duration Duration no_workers_timeout_ns
        "A task that no worker can run errs after this long; 0 means never."
    "scheduler.rootish-taskgroup" Count Count rootish_groups
        "A group of root-ish tasks, which are queued, reads fewer groups than this."
    "scheduler.rootish-taskgroup-dependencies" Count Count rootish_group_tasks
        "The groups that root-ish tasks read have fewer tasks than this together."
    "scheduler.rootish-tasks-per-thread" Count Count rootish_tasks_per_thread
        "A group of root-ish tasks has more tasks than this for each thread of all workers."
    "scheduler.round-trip" Duration Duration round_trip_ns
        "Time to a worker and back until it was measured."
    "scheduler.unknown-task-duration" Duration Duration unknown_task_duration_ns
        "Assumed duration of a task whose prefix never ran."
    "scheduler.validate" Switch Switch validate
        "Checks every invariant of both state machines after every event."
    "scheduler.work-stealing" Switch Switch work_stealing
        "Tasks that wait on one worker go to another that has nothing to do."
    "scheduler.work-stealing-interval" Duration Duration work_stealing_interval_ns
        "How often the loads of all workers are compared, beside each time that one is idle."
    "scheduler.work-stealing-latency" Duration Duration work_stealing_latency_ns
        "The least time that moving a task is reckoned with, however short the round trip."
    "scheduler.worker-saturation" Ratio Ratio worker_saturation
        "Slots per thread that root-ish tasks may fill on a worker; inf turns queuing off."
    "scheduler.worker-ttl" Duration Duration worker_ttl_ns
        "A worker from which no byte came for this long is lost."
    "timeouts.connect" Duration Duration connect_timeout_ns
        "Connecting may take this long."
    "timeouts.connect-attempts" Count Count connect_attempts
        "Times that a peer is called for results, with pauses that double; at least once."
    "timeouts.tcp" Duration Duration tcp_timeout_ns
        "A connection without progress for this long is dead."
    "worker.busy-retry" Duration Duration busy_retry_ns
        "First wait after a peer answered that it is busy; doubles each time."
    "worker.busy-retry-max" Duration Duration busy_retry_max_ns
        "Longest wait after a peer answered that it is busy."
    "worker.connections.incoming" Count Count transfer_outgoing_count_limit
        "Transfers that a worker serves at once."
    "worker.connections.outgoing" Count Count transfer_incoming_count_limit
        "Transfers that a worker receives at once."
    "worker.find-missing" Duration Duration find_missing_ns
        "How often a worker asks again for holders of inputs that nobody has; 0: as heartbeats."
    "worker.heartbeat-interval" Duration Duration heartbeat_ns
        "How often workers report to the scheduler; 0: by their number, 0.5 s for up to ten."
    "worker.lifetime.duration" Duration Duration lifetime_ns
        "Age at which a worker retires: its results move to others first; 0 means never."
    "worker.lifetime.restart" Switch Switch lifetime_restart
        "Starts a worker again that retired at the end of its lifetime."
    "worker.lifetime.stagger" Duration Duration lifetime_stagger_ns
        "Up to this much, by chance, is added to or taken from the lifetime of each worker."
    "worker.log-length" Count Length worker_log_length
        "Transitions that each worker keeps for stories."
    "worker.memory.monitor-interval" Duration Duration memory_monitor_ns
        "How often the resident size of workers is looked at, from 1ms on."
    "worker.memory.pause" Fraction Fraction memory_pause
        "Part of the memory limit, by resident size, at which a worker starts nothing more; 0: never."
    "worker.memory.pause-patience" Duration Duration pause_patience_ns
        "A paused worker without progress for this long gives back what it has not started; 0: never."
    "worker.memory.pause-restart" Duration Duration pause_restart_ns
        "A worker that stays paused is started again after this long; 0 means never."
    "worker.memory.rebalance.recipient-max" Fraction Fraction rebalance_recipient_max
        "Part of its memory limit above which a worker gets nothing in a rebalance."
    "worker.memory.rebalance.sender-min" Fraction Fraction rebalance_sender_min
        "Part of its memory limit below which a worker gives nothing away in a rebalance."
    "worker.memory.rebalance.sender-recipient-gap" Fraction Fraction rebalance_sender_recipient_gap
        "Part of the memory limit around the mean that a rebalance leaves alone."
    "worker.memory.recent-to-old-time" Duration Duration memory_recent_to_old_ns
        "Unmanaged memory that has been there for this long counts as old."
    "worker.memory.terminate" Fraction Fraction memory_terminate
        "Part of the memory limit, by resident size, at which a worker is ended; 0 means never."
    "worker.memory.transfer" Fraction Fraction memory_transfer
        "Part of the memory limit that incoming transfers may fill."
    "worker.transfer.message-bytes-limit" Bytes Bytes transfer_message_bytes_limit
        "Bytes that one request to a peer asks for at most."
    "worker.transfer.throttle-floor" Bytes Bytes transfer_throttle_floor_bytes
        "Below this many incoming bytes the number of transfers is not limited."
    "worker.write-backlog" Bytes Bytes write_backlog_bytes
        "While results of more bytes wait to be written on a worker, it starts nothing."
}

/// Settings of Dask that have no code behind them here, and why: refused by name.
pub const REFUSED: &[(&str, &str)] = &[
    ("adaptive.interval", LATER_SERVE),
    ("adaptive.target-duration", LATER_SERVE),
    ("adaptive.wait-count", LATER_SERVE),
    ("client.heartbeat", LATER_SERVE),
    ("scheduler.default-data-size", "the size of every result is known here"),
    ("scheduler.events-log-length", LATER_SERVE),
    ("scheduler.idle-timeout", "a batch job ends when its graph is done"),
    ("scheduler.locks.lease-timeout", LATER_SERVE),
    ("scheduler.locks.lease-validation-interval", LATER_SERVE),
    ("worker.memory.max-spill", LATER_SPILL),
    ("worker.memory.spill", LATER_SPILL),
    ("worker.memory.target", LATER_SPILL),
];

const LATER_SERVE: &str = "a cluster that serves clients comes with a later version";
const LATER_SPILL: &str = "moving results from memory to disk comes with a later version";

/// The least values of settings that others would make useless: a peer that serves nobody, a timer
/// that never waits, a silence that is shorter than the pause between two heartbeats.
const LEAST: &[(&str, u64)] = &[
    ("scheduler.active-memory-manager.interval", MILLISECOND_NS),
    ("scheduler.bandwidth", 1),
    ("scheduler.work-stealing-interval", MILLISECOND_NS),
    ("scheduler.worker-ttl", SECOND_NS),
    ("timeouts.connect", 10 * MILLISECOND_NS),
    ("timeouts.connect-attempts", 1),
    ("timeouts.tcp", SECOND_NS),
    ("worker.busy-retry", 1000),
    ("worker.busy-retry-max", 1000),
    ("worker.connections.incoming", 1),
    ("worker.connections.outgoing", 1),
    ("worker.memory.monitor-interval", MILLISECOND_NS),
];

/// The environment variable of a setting: `RDASK_SCHEDULER__WORKER_SATURATION` for example.
#[must_use]
pub fn environment_name(name: &str) -> String {
    format!("RDASK_{}", name.replace('.', "__").replace('-', "_").to_uppercase())
}

impl Setting {
    fn check_least(
        &self,
        value: &str,
        number: u64,
        format: impl Fn(u64) -> String,
    ) -> Result<(), ConfigError> {
        match LEAST.iter().find(|(name, _)| *name == self.name) {
            Some((_, least)) if number < *least => Err(ConfigError::TooLittle {
                name: self.name,
                value: value.to_owned(),
                least: format(*least),
            }),
            _ => Ok(()),
        }
    }
}

impl Config {
    /// Sets a value by name.
    ///
    /// # Errors
    /// When there is no such setting, or it does not take this value; nothing has changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let setting = find(name)?;
        let name = setting.name;
        let bad = |expected| ConfigError::BadValue { name, value: value.to_owned(), expected };
        let unit = |source| ConfigError::BadUnit { name, source };
        let count = "a whole number, 0 or more";
        match (setting.field)(self) {
            Field::Count(field) => {
                let number: u32 = value.parse().map_err(|_| bad(count))?;
                setting.check_least(value, u64::from(number), |least| least.to_string())?;
                *field = number;
            }
            Field::Length(field) => *field = value.parse().map_err(|_| bad(count))?,
            Field::Bytes(field) => {
                let nbytes = parse_bytes(value).map_err(unit)?;
                setting.check_least(value, nbytes, format_bytes)?;
                *field = nbytes;
            }
            Field::Duration(field) => {
                let ns = parse_duration_ns(value).map_err(unit)?;
                setting.check_least(value, ns, format_duration_ns)?;
                *field = ns;
            }
            Field::Ratio(field) => {
                let number = value.parse().ok().filter(|number: &f64| *number > 0.0);
                *field = number.ok_or_else(|| bad("a number above 0, or inf"))?;
            }
            Field::Fraction(field) => {
                *field =
                    fraction(value).ok_or_else(|| bad("a number from 0 to 1 or 0% to 100%"))?;
            }
            Field::Switch(field) => {
                *field = switch(value).ok_or_else(|| bad("true or false"))?;
            }
            Field::Durations(field) => *field = durations(value, &bad, &unit)?,
            Field::Measure(field) => {
                *field = value.parse().map_err(|()| bad("process, optimistic or managed"))?;
            }
            Field::Policies(field) => {
                let expected = "a list of ReduceReplicas and Rebalance, or none";
                *field = value.parse().map_err(|()| bad(expected))?;
            }
        }
        Ok(())
    }

    /// The settings that are not at their default, with their values.
    #[must_use]
    pub fn changed(&self) -> Vec<(String, String)> {
        let default = Self::default();
        let changed = NAMES.iter().filter_map(|setting| {
            let value = self.value(setting.name).ok()?;
            let same = default.value(setting.name).is_ok_and(|default| default == value);
            (!same).then(|| (setting.name.to_owned(), value))
        });
        changed.collect()
    }

    /// A value by name, in the form that `set` takes.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn value(&self, name: &str) -> Result<String, ConfigError> {
        let setting = find(name)?;
        // The table's accessors give `&mut`; a copy serves reading, which is rare.
        let mut copy = self.clone();
        Ok(match (setting.field)(&mut copy) {
            Field::Count(field) => field.to_string(),
            Field::Length(field) => field.to_string(),
            Field::Bytes(field) => format_bytes(*field),
            Field::Duration(field) => format_duration_ns(*field),
            Field::Ratio(field) | Field::Fraction(field) => field.to_string(),
            Field::Switch(field) => field.to_string(),
            Field::Measure(field) => field.to_string(),
            Field::Policies(field) => field.to_string(),
            Field::Durations(field) => field
                .iter()
                .map(|(prefix, ns)| format!("{prefix}={}", format_duration_ns(*ns)))
                .collect::<Vec<_>>()
                .join(","),
        })
    }
}

fn find(name: &str) -> Result<&'static Setting, ConfigError> {
    if let Some((name, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(ConfigError::Refused { name, why });
    }
    NAMES.iter().find(|setting| setting.name == name).ok_or_else(|| ConfigError::UnknownName {
        name: name.to_owned(),
        nearest: nearest(name, NAMES.iter().map(|setting| setting.name)),
    })
}

fn fraction(value: &str) -> Option<f64> {
    let number = match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => value.parse().ok()?,
    };
    (0.0..=1.0).contains(&number).then_some(number)
}

fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn durations(
    value: &str,
    bad: &dyn Fn(&'static str) -> ConfigError,
    unit: &dyn Fn(UnitError) -> ConfigError,
) -> Result<Vec<(String, u64)>, ConfigError> {
    value
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let (prefix, duration) =
                part.split_once('=').ok_or_else(|| bad("a list such as load=2s,sum=10ms"))?;
            Ok((prefix.trim().to_owned(), parse_duration_ns(duration).map_err(unit)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value other than the default.
    fn other(setting: &Setting) -> &'static str {
        if Config::default().value(setting.name).unwrap() == "true" {
            return "false";
        }
        match setting.unit {
            Unit::Count => "17",
            Unit::Bytes => "3MB",
            Unit::Duration => "1234ms",
            Unit::Ratio => "inf",
            Unit::Fraction => "0.25",
            Unit::Switch => "true",
            Unit::Measure => "process",
            Unit::Policies => "ReduceReplicas,Rebalance",
            Unit::Durations => "load=2s,sum=10ms",
        }
    }

    #[test]
    fn every_entry_round_trips() {
        for setting in NAMES {
            let value = other(setting);
            let mut config = Config::default();
            let before = config.value(setting.name).unwrap();
            assert_ne!(before, value, "{}", setting.name);
            config.set(setting.name, value).unwrap();
            assert_eq!(config.value(setting.name).unwrap(), value, "{}", setting.name);
            assert_eq!(config.changed(), [(setting.name.to_owned(), value.to_owned())]);
            config.set(setting.name, &before).unwrap();
            assert_eq!(config, Config::default(), "{}", setting.name);
        }
    }

    #[test]
    fn each_entry_has_its_own_field_and_name() {
        for setting in NAMES {
            let mut config = Config::default();
            config.set(setting.name, other(setting)).unwrap();
            let changed: Vec<_> = NAMES
                .iter()
                .filter(|it| config.value(it.name) != Config::default().value(it.name))
                .map(|it| it.name)
                .collect();
            assert_eq!(changed, [setting.name]);
            assert!(setting.sentence.ends_with('.'), "{}", setting.name);
        }
        assert!(NAMES.is_sorted_by_key(|setting| setting.name));
    }

    #[test]
    fn values_that_would_stop_a_job_are_refused() {
        for (name, least) in LEAST {
            let mut config = Config::default();
            let error = config.set(name, "0").unwrap_err().to_string();
            assert!(error.starts_with(&format!("setting '{name}': '0' is too little")), "{error}");
            assert_eq!(config, Config::default());
            let setting = find(name).unwrap();
            let smallest = match setting.unit {
                Unit::Duration => format_duration_ns(*least),
                _ => least.to_string(),
            };
            config.set(name, &smallest).unwrap();
        }
    }

    #[test]
    fn values_land_in_the_fields() {
        let mut config = Config::default();
        config.set("scheduler.worker-saturation", "inf").unwrap();
        config.set("scheduler.worker-ttl", "300").unwrap();
        config.set("worker.connections.outgoing", "7").unwrap();
        config.set("worker.memory.pause", "70%").unwrap();
        assert!(config.worker_saturation.is_infinite());
        assert_eq!(config.worker_ttl_ns, 300_000_000_000);
        assert_eq!(config.transfer_incoming_count_limit, 7);
        assert!((config.memory_pause - 0.7).abs() < 1e-12);
    }

    #[test]
    fn faults() {
        let mut config = Config::default();
        let error = config.set("scheduler.worker-saturatoin", "1").unwrap_err();
        assert_eq!(error.to_string(), "unknown setting 'scheduler.worker-saturatoin'");
        assert_eq!(error.help().unwrap(), "did you mean 'scheduler.worker-saturation'?");
        for (name, value) in [
            ("scheduler.allowed-failures", "-1"),
            ("scheduler.worker-saturation", "NaN"),
            ("scheduler.worker-saturation", "0"),
            ("scheduler.worker-ttl", "soon"),
            ("worker.memory.pause", "1.5"),
            ("scheduler.validate", "maybe"),
            ("scheduler.active-memory-manager.measure", "pessimistic"),
            ("scheduler.active-memory-manager.policies", "ReduceReplicas,Magic"),
            ("scheduler.default-task-durations", "load"),
        ] {
            assert!(config.set(name, value).is_err(), "{name}={value}");
        }
        assert_eq!(config, Config::default());
    }

    #[test]
    fn what_has_no_code_here_is_refused_with_the_reason() {
        let mut config = Config::default();
        for (name, why) in REFUSED {
            assert!(!NAMES.iter().any(|setting| setting.name == *name), "{name}");
            let error = config.set(name, "1").unwrap_err();
            assert_eq!(error.to_string(), format!("setting '{name}' is not there: {why}"));
            assert_eq!(error.help().as_deref(), Some("leave it out"));
        }
        assert_eq!(config, Config::default());
    }

    #[test]
    fn environment_names() {
        assert_eq!(
            environment_name("scheduler.worker-saturation"),
            "RDASK_SCHEDULER__WORKER_SATURATION"
        );
    }
}
