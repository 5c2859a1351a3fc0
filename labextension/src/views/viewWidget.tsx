/** A Lumino widget that shows one of our views and tells it whether anybody can see it. */
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import React from 'react';
import { type Services, ServicesProvider } from './services';

/** Subclasses say what to show; `active` is false while the widget is hidden. */
export abstract class ViewWidget extends ReactWidget {
  constructor(private readonly services: Services) {
    super();
  }

  protected abstract view(active: boolean): React.ReactElement;

  protected override render(): React.ReactElement {
    return (
      <ServicesProvider value={this.services}>
        {this.view(this.isVisible)}
      </ServicesProvider>
    );
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.update();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.update();
  }
}
