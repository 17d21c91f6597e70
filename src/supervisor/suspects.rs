//! What a job's only process was running when it died, in words.
//!
//! With one rank scheduler and worker die together, and with them everything that knows keys. The
//! graph is read again then: a death by a plugin's fault has to name the plugin. Nothing of the
//! graph is run.

use crate::graph_load;
use crate::role::Request;
use rdask_core::ids::TaskId;
use rdask_launcher::bootstrap::Bootstrap;

/// Most tasks that are named.
const NAMED: usize = 10;

/// ` while running 'x' (plugin …), 'y'`; empty when nothing ran. Where the graph came from the
/// standard input only the number of tasks is known.
pub(super) fn in_words(bootstrap: &Bootstrap, tasks: &[TaskId]) -> String {
    if tasks.is_empty() {
        return String::new();
    }
    let request: Option<Request> = serde_json::from_str(&bootstrap.options).ok();
    let path = request
        .filter(|request| request.graph != "-")
        .map(|request| request.options.working_directory.join(request.graph).display().to_string());
    let Some(graph) = path.and_then(|path| graph_load::load(&path).ok()) else {
        return format!(" while running {} tasks", tasks.len());
    };
    let known = tasks.iter().filter(|task| task.index() < graph.len());
    let names: Vec<String> = known.take(NAMED).map(|task| graph.suspect(*task)).collect();
    format!(" while running {}", names.join(", "))
}
