use super::args::{ExplainArgs, Global};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::out::{self, Style};
use super::send::read_json;
use crate::admin::{ExplainEvent, Explanation};
use crate::app::{self, EffectiveError};
use postrider_sink::SinkFactory;
use std::path::Path;
use std::sync::Arc;

/// Asks a daemon, or the files themselves, which endpoints get an event.
pub(super) async fn explain(
    args: &ExplainArgs,
    sinks: &[Arc<dyn SinkFactory>],
    global: &Global,
) -> Result<(), Failure> {
    let asked = asked(args)?;
    let explanation = match &args.config {
        Some(path) => {
            let (explanation, out) = app::explain(path, sinks, &asked).map_err(|error| match error {
                EffectiveError::Invalid(text) => Failure::new(Exit::Config, text),
                EffectiveError::Event(text) | EffectiveError::NotFound(text) => Failure::failed(text),
            })?;
            for file in out {
                out::say(&format!("{file} is left out: it is invalid, see `postrider check`"));
            }
            explanation
        }
        None => {
            let body = serde_json::to_vec(&asked).map_err(|error| Failure::failed(error.to_string()))?;
            let answer = Client::new(&global.admin)?.post("/api/v1/explain", body).await?;
            if answer.status != 200 {
                return Err(Failure::answer(answer.status, &answer.body));
            }
            serde_json::from_slice(&answer.body).map_err(|error| Failure::failed(error.to_string()))?
        }
    };
    if global.json {
        let text = serde_json::to_string(&explanation).map_err(|error| Failure::failed(error.to_string()))?;
        return out::line(&text);
    }
    print(&explanation)
}

fn asked(args: &ExplainArgs) -> Result<ExplainEvent, Failure> {
    let wrong = |error: serde_json::Error| Failure::usage(format!("this is no event: {error}"));
    let (Some(event), Some(product)) = (&args.event, &args.product) else {
        let text = read_json(Path::new("-"), "stdin")?;
        return serde_json::from_str(text.get()).map_err(wrong);
    };
    let data = args.data.as_ref().map(|path| read_json(path, "--data")).transpose()?;
    let data = data.map(|data| serde_json::from_str(data.get())).transpose().map_err(wrong)?;
    Ok(ExplainEvent {
        event: event.clone(),
        product: product.clone(),
        account: args.account.clone(),
        data: data.unwrap_or_default(),
        ..ExplainEvent::default()
    })
}

fn print(explanation: &Explanation) -> Result<(), Failure> {
    let mut rows = vec![["ENDPOINT", "ACCOUNT", "GETS IT", "WHY"].map(str::to_owned).to_vec()];
    rows.extend(explanation.endpoints.iter().map(|endpoint| {
        let gets = if endpoint.matches { "yes" } else { "no" };
        let account = endpoint.account.clone().unwrap_or_else(|| "all".to_owned());
        vec![endpoint.name.clone(), account, gets.to_owned(), endpoint.reason.clone()]
    }));
    let style = Style::stdout();
    for (position, row) in out::table(&rows).iter().enumerate() {
        out::line(&if position == 0 { style.bold(row) } else { row.clone() })?;
    }
    out::say(&format!("{} of {} endpoints", explanation.deliveries, explanation.endpoints.len()));
    Ok(())
}
