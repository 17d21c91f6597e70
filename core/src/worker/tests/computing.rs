//! Simple work from compute-task to free-keys.

use super::*;

#[test]
fn simple_work() {
    let mut bench = Bench::new(1);
    let compute = ComputeTask {
        task: TaskId(1),
        key: "y".into(),
        run_id: RunId(1),
        attempt: 0,
        priority: Priority::default(),
        spec: SpecId(0),
        dependencies: vec![Dependency { task: TaskId(2), nbytes: 8, who_has: vec![WorkerId(1)] }],
        arguments: vec![],
        needs: None,
    };
    let out = bench.give(vec![WorkerEvent::ComputeTask(Box::new(compute))]);
    println!("{out:?}");
    let out = bench.give(vec![WorkerEvent::GatherDepSuccess {
        transfer: TransferId(0),
        received: vec![(TaskId(2), 8)],
        absent: vec![],
        bad: vec![],
    }]);
    println!("{out:?}");
    let out = bench.give(vec![WorkerEvent::ExecuteSuccess {
        task: TaskId(1),
        run_id: RunId(1),
        nbytes: 16,
        type_code: TypeCode(1),
        thread: 0,
        start_ns: 1,
        stop_ns: 2,
    }]);
    println!("{out:?}");
    let out = bench.give(vec![WorkerEvent::FreeKeys {
        tasks: vec![(TaskId(2), RunId::NONE), (TaskId(1), RunId(1))],
    }]);
    println!("{out:?}");
    assert_eq!(bench.worker.task_count(), 0);
}
