//! Where events come in: `POST /v1/events`.
