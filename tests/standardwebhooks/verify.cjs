// Verifies deliveries, one JSON object a line: {secret, headers, body, good}. Prints how many came out as expected.
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

let right = 0;
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  const { secret, headers, body, good: expected } = JSON.parse(line);
  let good = true;
  try {
    new Webhook(secret).verify(body, headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    good = false;
  }
  if (good !== expected) {
    console.error(`good is ${good}: ${line}`);
    process.exit(1);
  }
  right += 1;
}
console.log(right);
