//! `dead-letters`: what will not be tried again by itself.

use super::args::{DeadLettersCommand, Global, LetterArgs};
use super::client::Client;
use super::deliveries::{PAGE, id_path, path, print, show, wanted};
use super::exit::Failure;
use super::operate::read;
use super::out;
use crate::admin::{DeadLetterPage, Deleted, DeliveryFilter, ReplayJob, ReplayRequest, ReplayState};
use std::time::Duration;

const LETTERS: &str = "/api/v1/dead-letters";
/// How often a replay is looked at.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn dead_letters(command: &DeadLettersCommand, global: &Global) -> Result<(), Failure> {
    let client = Client::new(&global.admin)?;
    match command {
        DeadLettersCommand::List { letters, limit } => list(&client, &of(letters), *limit, global.json).await,
        DeadLettersCommand::Show { id } => show(&client, id, global.json).await,
        DeadLettersCommand::Replay { letters, rate, dry_run, yes, no_wait } => {
            let dry_run = *dry_run || !*yes;
            let request = ReplayRequest { filter: of(letters), rate: rate.clone(), dry_run };
            replay(&client, &request, !*no_wait, global.json).await
        }
        DeadLettersCommand::Export { letters } => {
            client.lines(&path(&format!("{LETTERS}/export"), &of(letters), &[]), out::line).await
        }
        DeadLettersCommand::Delete { id: Some(id), letters, all, .. } => {
            if *all || of(letters) != DeliveryFilter::default() {
                return Err(Failure::usage("name an id or a filter, not both"));
            }
            let answer = client.delete(&id_path(LETTERS, id, "")?).await?;
            if answer.status != 204 {
                return Err(Failure::answer(answer.status, &answer.body));
            }
            deleted(1, global.json)
        }
        DeadLettersCommand::Delete { id: None, letters, all, yes } => {
            delete(&client, &of(letters), *all, *yes, global.json).await
        }
    }
}

fn of(letters: &LetterArgs) -> DeliveryFilter {
    DeliveryFilter { reason: letters.reason.clone(), ..wanted(&letters.filter) }
}

async fn list(client: &Client, filter: &DeliveryFilter, limit: usize, json: bool) -> Result<(), Failure> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    while rows.len() < limit {
        let page = (limit - rows.len()).min(PAGE).to_string();
        let mut more = vec![("limit", page.as_str())];
        more.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = client.get(&path(LETTERS, filter, &more)).await?;
        let page: DeadLetterPage = read(&answer, &[200])?;
        rows.extend(page.dead_letters);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    if json {
        return out::json(&DeadLetterPage { dead_letters: rows, cursor });
    }
    print(&rows, "no dead letters match")
}

async fn replay(client: &Client, request: &ReplayRequest, wait: bool, json: bool) -> Result<(), Failure> {
    let body = serde_json::to_vec(request).map_err(|error| Failure::failed(error.to_string()))?;
    let answer = client.post(&format!("{LETTERS}/replays"), body).await?;
    let mut job: ReplayJob = read(&answer, &[202])?;
    let place = id_path(&format!("{LETTERS}/replays"), &job.id, "")?;
    while wait && job.state.is_live() {
        tokio::time::sleep(LOOK).await;
        job = read(&client.get(&place).await?, &[200])?;
    }
    if json {
        out::json(&job)?;
    } else {
        out::line(&told(&job, wait))?;
    }
    match job.state {
        ReplayState::Cancelled | ReplayState::Failed => Err(Failure::failed(
            job.note.unwrap_or_else(|| "the replay was cancelled; the rest stays here".to_owned()),
        )),
        _ => Ok(()),
    }
}

fn told(job: &ReplayJob, waited: bool) -> String {
    let size = out::bytes(job.bytes);
    if job.dry_run {
        return format!(
            "{} dead letters, {size}, at {}. Nothing sent; add --yes to send.",
            job.matched, job.rate
        );
    }
    if !waited {
        return job.id.clone();
    }
    let skipped = match job.skipped {
        0 => String::new(),
        count => format!(", {count} stay here: their endpoint is gone, or their body is damaged"),
    };
    format!("{} of {} dead letters are deliveries again{skipped}", job.replayed, job.matched)
}

async fn delete(
    client: &Client,
    filter: &DeliveryFilter,
    all: bool,
    yes: bool,
    json: bool,
) -> Result<(), Failure> {
    if (*filter == DeliveryFilter::default()) != all {
        return Err(Failure::usage("name which dead letters by a filter, or all of them by --all"));
    }
    if !yes {
        return Err(Failure::usage("what is deleted cannot be replayed; add --yes to delete"));
    }
    let more: &[(&str, &str)] = if all { &[("all", "true")] } else { &[] };
    let answer = client.delete(&path(LETTERS, filter, more)).await?;
    deleted(read::<Deleted>(&answer, &[200])?.deleted, json)
}

fn deleted(count: u64, json: bool) -> Result<(), Failure> {
    if json {
        out::json(&Deleted { deleted: count })
    } else {
        out::line(&format!("{count} dead letters deleted"))
    }
}
