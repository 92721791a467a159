performance.mark("rollout-link-start");

// Where the script comes from is where the host is, unless the page says otherwise.
const ORIGIN = document.currentScript?.src ? new URL(document.currentScript.src).origin : undefined;
