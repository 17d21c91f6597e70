//! The flight record of a simulated scheduler, for tests of records: hundreds of seeds with every
//! fault make a better record than any run.

use super::{Broken, Order, Scenario, Simulation};
use crate::record::{Encoder, End, Info, end_block, graph_blocks, header};
use crate::scheduler::SchedulerEvent;

impl Simulation {
    /// Runs a scenario as `run` does, but with its first graph only, since a record holds one; the
    /// record of its scheduler, whatever became of it.
    ///
    /// # Panics
    /// As `run`.
    pub fn recorded(mut scenario: Scenario) -> (Vec<u8>, Result<(), Broken>) {
        scenario.orders.retain(|(_, order)| !matches!(order, Order::Submit { .. }));
        let info = Info {
            program: "simulation".to_owned(),
            seed: scenario.seed,
            settings: scenario.config.changed(),
            slots: 0,
        };
        let mut me = Self::new(scenario);
        let mut bytes = header(&info).expect("settings are short");
        graph_blocks(&me.submission(), &mut |block| bytes.extend(block))
            .expect("graphs of seeds are small");
        me.recorder = Some((Encoder::new(false), bytes));
        me.begin();
        let ended = me.go_on(&mut 0);
        let (mut encoder, mut bytes) = me.recorder.take().expect("it was put there");
        bytes.extend(encoder.block(me.scheduler.fingerprint()).unwrap_or_default());
        let state_hash = me.scheduler.state_hash();
        bytes.extend(end_block(End { events: encoder.events(), state_hash }));
        (bytes, ended.map(|_| ()))
    }

    /// Writes an event down that the scheduler is about to handle.
    pub(super) fn record(&mut self, event: &SchedulerEvent) {
        if let Some((encoder, bytes)) = &mut self.recorder {
            let scheduler = &self.scheduler;
            let full = encoder.event(self.now, event, || scheduler.fingerprint());
            bytes.extend(full.expect("events of a simulation are short").unwrap_or_default());
        }
    }
}
