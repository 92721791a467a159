// A page as a product has it, except that the token comes from a host in development.

const link = document.querySelector("rollout-link");
const consumer = new URLSearchParams(location.search).get("consumer") || "demo-user";
document.querySelector("#consumer").textContent = consumer;

link.token = async () => {
  const answer = await fetch("/link/demo/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ consumer }),
  });
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return (await answer.json()).token;
};

const events = document.querySelector("#events");
for (const type of ["credential-added", "credential-deleted", "error"]) {
  link.addEventListener(type, ({ detail }) => {
    events.querySelector(".none")?.remove();
    const { error, ...shown } = detail;
    const line = document.createElement("li");
    line.textContent = `${type} ${JSON.stringify(shown)}`;
    events.append(line);
  });
}

document.querySelector("#options").addEventListener("input", ({ target }) => {
  if (target.value) link.setAttribute(target.name, target.value);
  else link.removeAttribute(target.name);
  if (target.name === "theme") link.parentElement.className = `frame ${target.value}`;
});
document.querySelector("#options").addEventListener("submit", (event) => event.preventDefault());

document.querySelector("#snippet").textContent = `<script src="${location.origin}/link.js" async></script>
<rollout-link entities-to-sync="notes tasks"></rollout-link>
<script>
  const link = document.querySelector("rollout-link");
  link.token = async () => (await fetch("/your-own/rollout-token")).text();
  link.addEventListener("credential-added", (event) => console.log(event.detail.id));
</script>`;
