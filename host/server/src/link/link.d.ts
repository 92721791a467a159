// Types of /link.js, the custom element <rollout-link>, and of /link-react.js.

/** An account, as events name it. */
export interface LinkCredential {
  id: string;
  /** The key of its app: `follow-up-boss`. */
  appKey: string;
}

/** What went wrong. The person has been told already. */
export interface LinkError {
  /** A code of the API's, or `network`, `timeout`, `unavailable`, `token`, `popup_blocked`, `closed`, `not_connected`, … */
  code: string;
  /** In words for the person. */
  message: string;
  /** The HTTP status; 0 without an answer. */
  status: number;
  error: Error;
}

/** A JWT that your server made, or a function that asks it for one. The function is asked again when a token has expired. One element is of one person: for another one make another (in React: another `key`). */
export type LinkToken = string | (() => string | Promise<string>);

export interface LinkFieldOverride {
  initialValue?: string | string[];
  disabled?: boolean;
  /** false hides the field; its initial value is sent. */
  visible?: boolean;
}

export interface LinkOptions {
  /** Where the API is; the origin of the script with `/api` without it. */
  apiBaseUrl?: string;
  /** The apps to offer, in this order; one alone is shown without the list. */
  apps?: string | string[];
  /** Offers apps of these categories only: `"crm los"`, `["crm"]`, `{ crm: true }`. */
  categories?: string | string[] | Record<string, boolean>;
  /** The way to connect: a plan's key for all apps, or one by app. A person may choose without it. */
  plan?: string | Record<string, string>;
  /** What is synced beside users and people: `"notes tasks"`, `{ notes: true }`. */
  entitiesToSync?: string | Record<string, boolean>;
  /** By app and key of the field. */
  fieldOverrides?: string | Record<string, Record<string, LinkFieldOverride>>;
  /** Words of yours for some or all texts, by their names in the script; `{app}` and the like are filled in. */
  texts?: string | Record<string, string>;
}

export interface RolloutLinkEventMap {
  "credential-added": CustomEvent<LinkCredential>;
  "credential-deleted": CustomEvent<LinkCredential>;
  error: CustomEvent<LinkError>;
}

export interface RolloutLinkElement extends HTMLElement, LinkOptions {
  token?: LinkToken;
  /** Reads apps and accounts again. */
  refresh(): Promise<void>;
  addEventListener<K extends keyof RolloutLinkEventMap>(
    type: K,
    listener: (this: RolloutLinkElement, event: RolloutLinkEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

export interface RolloutLinkProps extends LinkOptions {
  token: LinkToken;
  onSuccess?: (credential: LinkCredential) => void;
  onDelete?: (credential: LinkCredential) => void;
  onError?: (error: LinkError) => void;
  className?: string;
  id?: string;
  theme?: "light" | "dark";
}

/** The React component of /link-react.js. */
export declare function RolloutLink(props: RolloutLinkProps): any;

declare global {
  interface HTMLElementTagNameMap {
    "rollout-link": RolloutLinkElement;
  }
}
